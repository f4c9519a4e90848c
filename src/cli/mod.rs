//! The command line: nouns, then verbs.
//!
//! Input: arguments. Output: text for people, or JSON with `--json`, and an exit code: 0 done, 1 failed,
//! 2 wrong usage, 3 not found or in conflict, 4 the node cannot be reached; `cost reconcile` also 7 and 8, `scan` 9.
//!
//! Invariants: no command writes rows behind the back of a running node. Keys and tokens go to standard output
//! alone, once.
//!
//! - [`root`]: the arguments as a whole. [`serve`], [`check`], [`demo`], [`ledger`], [`route`], [`scan`]: one verb each.
//! - [`cost`]: sums over the ledger, and its comparison with what providers say.
//! - [`tenant`], [`user`], [`team`], [`role`], [`key`], [`token`]: one noun each.
//! - [`admin_client`]: asks the running node. [`present`]: shows its answer.
//! - [`span`]: lengths of time as people write them. [`output`]: the only place that prints.

pub mod root;

pub mod check;
pub mod cost;
pub mod demo;
pub mod ledger;
pub mod route;
pub mod scan;
pub mod serve;

pub mod admin_client;
mod breakers;
pub mod key;
pub mod output;
pub mod present;
pub mod role;
pub mod span;
pub mod team;
pub mod tenant;
pub mod token;
pub mod user;

use std::path::Path;

use clap::Subcommand;

use crate::cli::admin_client::{Asked, NotDone};
use crate::cli::output::Output;
pub use crate::cli::root::main;
use crate::control::admin::answer::Answer;
use crate::control::admin::command::Command;

/// The nouns of identity.
#[derive(Debug, Subcommand)]
pub enum Nouns {
    /// Tenants: the boundary that nothing crosses.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Users: people and service accounts of a tenant.
    #[command(subcommand)]
    User(user::User),
    /// Teams: groups of users, for budgets and policies.
    #[command(subcommand)]
    Team(team::Team),
    /// Roles: what policies speak of.
    #[command(subcommand)]
    Role(role::Role),
    /// API keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Short-lived tokens.
    #[command(subcommand)]
    Token(token::Token),
}

/// Carries a command out in this process, where no node is running on the data directory.
pub type Offline<'a> = &'a dyn Fn(Command) -> Result<Answer, NotDone>;

impl Nouns {
    /// Asks the node that runs on this data directory, else carries the command out itself; shows the answer.
    pub fn run(self, data_dir: &Path, offline: Offline<'_>, output: &mut Output) -> Result<(), NotDone> {
        let command = self.command();
        let answer = match admin_client::ask(data_dir, &command)? {
            Asked::Answered(answer) => answer,
            Asked::NoNode => offline(command)?,
        };
        present::present(&answer, output).map_err(NotDone::Output)
    }

    /// The command that the arguments mean.
    pub fn command(self) -> Command {
        match self {
            Self::Tenant(verb) => Command::Tenant(verb.into()),
            Self::User(verb) => Command::User(verb.into()),
            Self::Team(verb) => Command::Team(verb.into()),
            Self::Role(verb) => Command::Role(verb.into()),
            Self::Key(verb) => Command::Key(verb.into()),
            Self::Token(verb) => Command::Token(verb.into()),
        }
    }
}

#[cfg(test)]
mod tests;
