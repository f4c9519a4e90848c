//! `tollgate token`

use std::time::Duration;

use clap::Subcommand;

use crate::cli::span;
use crate::cli::user::Who;
use crate::control::admin::command::TokenCommand;
use crate::types::ids::TokenId;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Issues a token and shows it, this once.
    Issue {
        /// Whose.
        #[command(flatten)]
        who: Who,
        /// For how long it is valid, a day at most.
        #[arg(long, value_name = "SPAN", value_parser = span::parse, default_value = "15m")]
        ttl: Duration,
    },
    /// Revokes one token.
    Revoke {
        /// Its id (`jti`), as `tollgate token issue` showed it.
        id: TokenId,
    },
    /// Revokes all tokens of a user that were issued until now; keys are not affected.
    RevokeAll {
        /// Whose.
        #[command(flatten)]
        who: Who,
    },
}

impl From<Token> for TokenCommand {
    fn from(verb: Token) -> Self {
        match verb {
            Token::Issue { who, ttl } => Self::Issue {
                user: who.into(),
                ttl_s: ttl.as_secs(),
            },
            Token::Revoke { id } => Self::Revoke { id },
            Token::RevokeAll { who } => Self::RevokeAll { user: who.into() },
        }
    }
}
