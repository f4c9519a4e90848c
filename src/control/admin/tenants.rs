//! Commands about tenants.

use serde_json::json;

use crate::control::admin::answer::{Answer, TenantInfo};
use crate::control::admin::command::TenantCommand;
use crate::control::admin::error::AdminError;
use crate::control::admin::service::{AdminService, Plan, check_name};
use crate::store::identity::TenantRow;
use crate::store::identity::change::{Change, TenantChange};
use crate::types::ids::{TenantId, TenantName};

impl AdminService {
    pub(super) async fn tenant(&self, peer_uid: u32, command: TenantCommand) -> Result<Answer, AdminError> {
        match command {
            TenantCommand::Create { name } => self.create_tenant(peer_uid, name).await,
            TenantCommand::List => {
                let rows = self.parts.store.identity().await?;
                let tenants = rows.tenants.into_iter().map(info).collect();
                Ok(Answer::Tenants { tenants })
            }
            TenantCommand::Disable { name } => {
                let tenant = self.tenant_of(Some(&name)).await?;
                if tenant.disabled_at.is_some() {
                    return Err(AdminError::Conflict(format!("tenant {name} is disabled already")));
                }
                let plan = plan("tenant.disable", &tenant, TenantChange::Disable);
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done {
                    what: format!("Tenant {name} is disabled: nobody of it may ask any more."),
                })
            }
            TenantCommand::Enable { name } => {
                let tenant = self.tenant_of(Some(&name)).await?;
                if tenant.disabled_at.is_none() {
                    return Err(AdminError::Conflict(format!("tenant {name} is not disabled")));
                }
                let plan = plan("tenant.enable", &tenant, TenantChange::Enable);
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done {
                    what: format!("Tenant {name} is enabled."),
                })
            }
        }
    }

    async fn create_tenant(&self, peer_uid: u32, name: TenantName) -> Result<Answer, AdminError> {
        check_name("tenant name", name.as_str())?;
        if self.parts.store.tenant_named(&name).await?.is_some() {
            return Err(AdminError::Conflict(format!("there is a tenant {name} already")));
        }
        let id = TenantId::generate(self.parts.clock.now(), &*self.parts.entropy);
        let plan = Plan {
            action: "tenant.create",
            resource: format!("tenant/{name}"),
            tenant: Some(id),
            detail: json!({}),
            changes: vec![Change::Tenant(id, TenantChange::Create(name.clone()))],
        };
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::TenantCreated { id, name })
    }
}

fn plan(action: &'static str, tenant: &TenantRow, change: TenantChange) -> Plan {
    Plan {
        action,
        resource: format!("tenant/{}", tenant.name),
        tenant: Some(tenant.id),
        detail: json!({}),
        changes: vec![Change::Tenant(tenant.id, change)],
    }
}

fn info(row: TenantRow) -> TenantInfo {
    TenantInfo {
        id: row.id,
        name: row.name,
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    }
}
