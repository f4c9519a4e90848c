//! `tollgate tenant`

use clap::Subcommand;

use crate::control::admin::command::TenantCommand;
use crate::types::ids::TenantName;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// Creates a tenant.
    Create {
        /// Its name, unique in this installation.
        name: String,
    },
    /// Lists all tenants.
    List,
    /// Refuses everyone of a tenant from now on.
    Disable {
        /// Its name.
        name: String,
    },
    /// Lets a disabled tenant ask again.
    Enable {
        /// Its name.
        name: String,
    },
}

impl From<Tenant> for TenantCommand {
    fn from(verb: Tenant) -> Self {
        match verb {
            Tenant::Create { name } => Self::Create {
                name: TenantName::new(name),
            },
            Tenant::List => Self::List,
            Tenant::Disable { name } => Self::Disable {
                name: TenantName::new(name),
            },
            Tenant::Enable { name } => Self::Enable {
                name: TenantName::new(name),
            },
        }
    }
}
