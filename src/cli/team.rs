//! `tollgate team`

use clap::Subcommand;

use crate::cli::user::Who;
use crate::control::admin::command::TeamCommand;
use crate::types::ids::{TeamName, TenantName};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Team {
    /// Creates a team without members.
    Create {
        /// Its name, unique in its tenant.
        team: String,
        /// Its tenant; may be left out while there is only one.
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Lists the teams of a tenant.
    List {
        /// The tenant; may be left out while there is only one.
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Puts a user into a team.
    Add {
        /// The team.
        team: String,
        /// Who.
        #[command(flatten)]
        who: Who,
    },
    /// Takes a user out of a team.
    Remove {
        /// The team.
        team: String,
        /// Who.
        #[command(flatten)]
        who: Who,
    },
}

impl From<Team> for TeamCommand {
    fn from(verb: Team) -> Self {
        match verb {
            Team::Create { team, tenant } => Self::Create {
                tenant: tenant.map(TenantName::new),
                team: TeamName::new(team),
            },
            Team::List { tenant } => Self::List {
                tenant: tenant.map(TenantName::new),
            },
            Team::Add { team, who } => Self::Add {
                team: TeamName::new(team),
                user: who.into(),
            },
            Team::Remove { team, who } => Self::Remove {
                team: TeamName::new(team),
                user: who.into(),
            },
        }
    }
}
