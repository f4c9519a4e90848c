//! Commands about teams.

use serde_json::json;

use crate::control::admin::answer::{Answer, TeamInfo};
use crate::control::admin::command::{TeamCommand, UserRef};
use crate::control::admin::error::AdminError;
use crate::control::admin::service::{AdminService, Plan, check_name};
use crate::store::identity::change::{Change, TeamChange};
use crate::store::identity::{TenantRow, UserRow};
use crate::types::ids::{TeamName, TenantName};

impl AdminService {
    pub(super) async fn team(&self, peer_uid: u32, command: TeamCommand) -> Result<Answer, AdminError> {
        match command {
            TeamCommand::Create { tenant, team } => self.create_team(peer_uid, tenant, team).await,
            TeamCommand::List { tenant } => {
                let tenant = self.tenant_of(tenant.as_ref()).await?;
                let rows = self.parts.store.teams(tenant.id).await?;
                let teams = rows.into_iter().map(|row| TeamInfo {
                    name: row.name,
                    members: row.members,
                    created_at: row.created_at,
                });
                Ok(Answer::Teams {
                    teams: teams.collect(),
                })
            }
            TeamCommand::Add { team, user } => {
                let (tenant, user) = self.member(&team, &user).await?;
                let name = &user.name;
                if user.teams.contains(&team) {
                    return Err(AdminError::Conflict(format!("{name} is in team {team} already")));
                }
                let plan = plan("team.add", &tenant, &team, &user, TeamChange::Add(user.id));
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done {
                    what: format!("{name} is in team {team} now."),
                })
            }
            TeamCommand::Remove { team, user } => {
                let (tenant, user) = self.member(&team, &user).await?;
                let name = &user.name;
                if !user.teams.contains(&team) {
                    return Err(AdminError::Conflict(format!("{name} is not in team {team}")));
                }
                let plan = plan("team.remove", &tenant, &team, &user, TeamChange::Remove(user.id));
                self.carry_out(peer_uid, plan).await?;
                Ok(Answer::Done {
                    what: format!("{name} is no longer in team {team}."),
                })
            }
        }
    }

    async fn create_team(
        &self,
        peer_uid: u32,
        tenant: Option<TenantName>,
        team: TeamName,
    ) -> Result<Answer, AdminError> {
        check_name("team name", team.as_str())?;
        let tenant = self.tenant_of(tenant.as_ref()).await?;
        if self.has_team(&tenant, &team).await? {
            return Err(AdminError::Conflict(format!("there is a team {team} already")));
        }
        let plan = Plan {
            action: "team.create",
            resource: format!("team/{team}"),
            tenant: Some(tenant.id),
            detail: json!({}),
            changes: vec![Change::Team(tenant.id, team.clone(), TeamChange::Create)],
        };
        self.carry_out(peer_uid, plan).await?;
        Ok(Answer::Done {
            what: format!("Team {team} is there, without members."),
        })
    }

    /// The user, its tenant, and the certainty that the tenant has this team.
    async fn member(&self, team: &TeamName, user: &UserRef) -> Result<(TenantRow, UserRow), AdminError> {
        let (tenant, user) = self.find(user).await?;
        if self.has_team(&tenant, team).await? {
            return Ok((tenant, user));
        }
        let tenant = &tenant.name;
        Err(AdminError::NotFound(format!(
            "there is no team {team} in tenant {tenant}"
        )))
    }

    async fn has_team(&self, tenant: &TenantRow, team: &TeamName) -> Result<bool, AdminError> {
        let teams = self.parts.store.teams(tenant.id).await?;
        Ok(teams.iter().any(|row| row.name == *team))
    }
}

fn plan(
    action: &'static str,
    tenant: &TenantRow,
    team: &TeamName,
    user: &UserRow,
    change: TeamChange,
) -> Plan {
    Plan {
        action,
        resource: format!("team/{team}"),
        tenant: Some(tenant.id),
        detail: json!({"user": user.name, "user_id": user.id}),
        changes: vec![Change::Team(tenant.id, team.clone(), change)],
    }
}
