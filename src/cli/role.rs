//! `tollgate role`

use clap::Subcommand;

use crate::cli::user::Who;
use crate::control::admin::command::RoleCommand;
use crate::types::ids::RoleName;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Lists all roles.
    List,
    /// Gives a user a role.
    Grant {
        /// The role.
        role: String,
        /// Who.
        #[command(flatten)]
        who: Who,
    },
    /// Takes a role from a user.
    Withdraw {
        /// The role.
        role: String,
        /// Who.
        #[command(flatten)]
        who: Who,
    },
}

impl From<Role> for RoleCommand {
    fn from(verb: Role) -> Self {
        match verb {
            Role::List => Self::List,
            Role::Grant { role, who } => Self::Grant {
                role: RoleName::new(role),
                user: who.into(),
            },
            Role::Withdraw { role, who } => Self::Withdraw {
                role: RoleName::new(role),
                user: who.into(),
            },
        }
    }
}
