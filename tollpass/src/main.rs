//! The laptop helper of Tollgate: hands a short-lived token to local clients.
//!
//! This version prints its version and usage; sign-in arrives with the credential exchange.

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "tollpass: credential helper for clients behind a Tollgate gateway

Usage: tollpass [--version | --help]

Sign-in is not part of this version: ask your administrator for a token
(`tollgate token issue USER`) or an API key (`tollgate key create USER`).
";

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let mut out = std::io::stdout().lock();
    let written = match argument.as_deref() {
        Some("--version" | "-V") => writeln!(out, "tollpass {}", env!("CARGO_PKG_VERSION")),
        Some("--help" | "-h") => out.write_all(USAGE.as_bytes()),
        _ => {
            // The same text as --help, but on the error stream and with the exit code of a usage mistake.
            return match std::io::stderr().write_all(USAGE.as_bytes()) {
                Ok(()) => ExitCode::from(2),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
