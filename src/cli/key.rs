//! `tollgate key`

use std::time::Duration;

use clap::Subcommand;

use crate::cli::span;
use crate::cli::user::Who;
use crate::control::admin::command::KeyCommand;
use crate::types::ids::{KeyId, TenantName, UserName};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Creates a key and shows it, this once.
    Create {
        /// Whose.
        #[command(flatten)]
        who: Who,
        /// What its owner calls it: the machine or program that it is for.
        #[arg(long, value_name = "TEXT", default_value = "key")]
        name: String,
        /// For how long it is valid (`90d`, `12h`); for ever if left out.
        #[arg(long, value_name = "SPAN", value_parser = span::parse)]
        expires: Option<Duration>,
    },
    /// Lists keys, without what makes them keys.
    List {
        /// Of this user only.
        user: Option<String>,
        /// Of this tenant only.
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Revokes a key.
    Revoke {
        /// Its id, as `tollgate key list` shows it.
        id: KeyId,
    },
}

impl From<Key> for KeyCommand {
    fn from(verb: Key) -> Self {
        match verb {
            Key::Create { who, name, expires } => Self::Create {
                user: who.into(),
                name,
                expires_in_s: expires.map(|span| span.as_secs()),
            },
            Key::List { user, tenant } => Self::List {
                tenant: tenant.map(TenantName::new),
                user: user.map(UserName::new),
            },
            Key::Revoke { id } => Self::Revoke { id },
        }
    }
}
