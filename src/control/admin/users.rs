//! Commands about users and their roles.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::control::admin::answer::{Answer, RoleInfo, UserInfo};
use crate::control::admin::command::{RoleCommand, UserCommand, UserRef};
use crate::control::admin::error::AdminError;
use crate::control::admin::service::{AdminService, Plan, check_name};
use crate::store::identity::change::{Change, TeamChange, UserChange};
use crate::store::identity::{TenantRow, UserRow};
use crate::types::ids::{RoleName, TeamName, TenantId, TenantName, UserId};

impl AdminService {
    pub(super) async fn user(&self, peer_uid: u32, command: UserCommand) -> Result<Answer, AdminError> {
        match command {
            UserCommand::Create { user, roles, teams } => {
                self.create_user(peer_uid, user, roles, teams).await
            }
            UserCommand::List { tenant } => self.list_users(tenant).await,
            UserCommand::Disable { user } => {
                let (tenant, user) = self.find(&user).await?;
                if user.disabled_at.is_some() {
                    return Err(AdminError::Conflict(format!("{} is disabled already", user.name)));
                }
                let what = format!("{} is disabled: keys and tokens are refused.", user.name);
                let plan = plan("user.disable", &tenant, &user, json!({}), UserChange::Disable);
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done { what })
            }
            UserCommand::Enable { user } => {
                let (tenant, user) = self.find(&user).await?;
                if user.disabled_at.is_none() {
                    return Err(AdminError::Conflict(format!("{} is not disabled", user.name)));
                }
                let what = format!("{} is enabled.", user.name);
                let plan = plan("user.enable", &tenant, &user, json!({}), UserChange::Enable);
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done { what })
            }
        }
    }

    async fn create_user(
        &self,
        peer_uid: u32,
        user: UserRef,
        mut roles: Vec<RoleName>,
        mut teams: Vec<TeamName>,
    ) -> Result<Answer, AdminError> {
        check_name("user name", user.name.as_str())?;
        let tenant = self.tenant_of(user.tenant.as_ref()).await?;
        let name = user.name;
        if self.parts.store.user_named(tenant.id, &name).await?.is_some() {
            let tenant = &tenant.name;
            return Err(AdminError::Conflict(format!(
                "there is a user {name} in tenant {tenant} already"
            )));
        }
        roles.sort_unstable();
        roles.dedup();
        teams.sort_unstable();
        teams.dedup();
        for role in &roles {
            self.check_role(role).await?;
        }
        let existing = self.parts.store.teams(tenant.id).await?;
        let is_new = |team: &&TeamName| existing.iter().all(|row| row.name != **team);
        let teams_created: Vec<TeamName> = teams.iter().filter(is_new).cloned().collect();
        for team in &teams_created {
            check_name("team name", team.as_str())?;
        }
        let id = UserId::generate(self.parts.clock.now(), &*self.parts.entropy);
        let team = |team: &TeamName, change| Change::Team(tenant.id, team.clone(), change);
        let mut changes = vec![Change::User(id, UserChange::Create(tenant.id, name.clone()))];
        changes.extend(
            roles
                .iter()
                .map(|role| Change::User(id, UserChange::Grant(role.clone()))),
        );
        changes.extend(teams_created.iter().map(|name| team(name, TeamChange::Create)));
        changes.extend(teams.iter().map(|name| team(name, TeamChange::Add(id))));
        let plan = Plan {
            action: "user.create",
            resource: format!("user/{name}"),
            tenant: Some(tenant.id),
            detail: json!({"id": id, "roles": roles, "teams": teams, "teams_created": teams_created}),
            changes,
        };
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::UserCreated {
            id,
            name,
            teams_created,
        })
    }

    async fn list_users(&self, tenant: Option<TenantName>) -> Result<Answer, AdminError> {
        if let Some(name) = &tenant {
            self.tenant_of(Some(name)).await?;
        }
        let rows = self.parts.store.identity().await?;
        let names: HashMap<TenantId, TenantName> =
            rows.tenants.into_iter().map(|row| (row.id, row.name)).collect();
        let users = rows.users.into_iter().filter_map(|row| {
            let of = names.get(&row.tenant)?;
            tenant
                .as_ref()
                .is_none_or(|wanted| wanted == of)
                .then(|| info(row, of))
        });
        Ok(Answer::Users {
            users: users.collect(),
        })
    }

    pub(super) async fn role(&self, peer_uid: u32, command: RoleCommand) -> Result<Answer, AdminError> {
        match command {
            RoleCommand::List => {
                let rows = self.parts.store.roles().await?;
                let roles = rows.into_iter().map(|row| RoleInfo {
                    name: row.name,
                    description: row.description,
                });
                Ok(Answer::Roles {
                    roles: roles.collect(),
                })
            }
            RoleCommand::Grant { role, user } => {
                self.check_role(&role).await?;
                let (tenant, user) = self.find(&user).await?;
                if user.roles.contains(&role) {
                    let name = &user.name;
                    return Err(AdminError::Conflict(format!("{name} has role {role} already")));
                }
                let what = format!("{} has role {role} now.", user.name);
                let detail = json!({"role": role});
                let plan = plan("role.grant", &tenant, &user, detail, UserChange::Grant(role));
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done { what })
            }
            RoleCommand::Withdraw { role, user } => {
                let (tenant, user) = self.find(&user).await?;
                if !user.roles.contains(&role) {
                    let name = &user.name;
                    return Err(AdminError::Conflict(format!("{name} does not have role {role}")));
                }
                let what = format!("{} no longer has role {role}.", user.name);
                let detail = json!({"role": role});
                let plan = plan(
                    "role.withdraw",
                    &tenant,
                    &user,
                    detail,
                    UserChange::Withdraw(role),
                );
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done { what })
            }
        }
    }

    async fn check_role(&self, role: &RoleName) -> Result<(), AdminError> {
        let roles = self.parts.store.roles().await?;
        if roles.iter().any(|row| row.name == *role) {
            return Ok(());
        }
        let known: Vec<&str> = roles.iter().map(|row| row.name.as_str()).collect();
        Err(AdminError::NotFound(format!(
            "there is no role {role}; there are: {}",
            known.join(", ")
        )))
    }
}

fn plan(action: &'static str, tenant: &TenantRow, user: &UserRow, detail: Value, change: UserChange) -> Plan {
    Plan {
        action,
        resource: format!("user/{}", user.name),
        tenant: Some(tenant.id),
        detail,
        changes: vec![Change::User(user.id, change)],
    }
}

fn info(row: UserRow, tenant: &TenantName) -> UserInfo {
    UserInfo {
        id: row.id,
        tenant: tenant.clone(),
        name: row.name,
        roles: row.roles,
        teams: row.teams,
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    }
}
