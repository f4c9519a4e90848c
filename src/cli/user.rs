//! `tollgate user`

use clap::{Args, Subcommand};

use crate::control::admin::command::{UserCommand, UserRef};
use crate::types::ids::{RoleName, TeamName, TenantName, UserName};

/// Names a user.
#[derive(Debug, Args)]
pub struct Who {
    /// The user's name, usually an e-mail address.
    user: String,
    /// The user's tenant; may be left out while there is only one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

impl From<Who> for UserRef {
    fn from(who: Who) -> Self {
        Self {
            tenant: who.tenant.map(TenantName::new),
            name: UserName::new(who.user),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Creates a user.
    Create {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// A role of the user; may be repeated. `tollgate role list` shows all.
        #[arg(long = "role", value_name = "ROLE", default_value = "user")]
        roles: Vec<String>,
        /// A team of the user; may be repeated. A team that does not exist is created.
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
    },
    /// Lists users.
    List {
        /// Of this tenant only.
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Refuses a user's keys and tokens from now on.
    Disable {
        /// Who.
        #[command(flatten)]
        who: Who,
    },
    /// Lets a disabled user ask again.
    Enable {
        /// Who.
        #[command(flatten)]
        who: Who,
    },
}

impl From<User> for UserCommand {
    fn from(verb: User) -> Self {
        match verb {
            User::Create { who, roles, teams } => Self::Create {
                user: who.into(),
                roles: roles.into_iter().map(RoleName::new).collect(),
                teams: teams.into_iter().map(TeamName::new).collect(),
            },
            User::List { tenant } => Self::List {
                tenant: tenant.map(TenantName::new),
            },
            User::Disable { who } => Self::Disable { user: who.into() },
            User::Enable { who } => Self::Enable { user: who.into() },
        }
    }
}
