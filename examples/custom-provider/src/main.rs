//! Tollgate with one more provider.

mod provider;

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate::cli::main()
}
