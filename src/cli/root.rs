//! The command line as a whole: what stands before the nouns.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::admin_client::NotDone;
use crate::cli::output::Output;
use crate::cli::{Nouns, check, cost, demo, ledger, route, scan, serve};
use crate::config::Config;
use crate::config::source::Source;
use crate::control::admin::peer::own_uid;
use crate::server::assemble;

/// A self-hosted AI governance gateway.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found or in conflict, \
                        4 the node cannot be reached; serve and gateway also 5 requests were cut off at the \
                        deadline, 6 the ledger could not be written to its end; cost reconcile also 7 every difference has a \
                        cause, 8 one has none; scan also 9 secrets were found."
)]
struct Root {
    /// Configuration file; `tollgate.toml` in the working directory where it exists, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the configured one.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps the gateway running until it is told to stop.
    Serve,
    /// Runs the gateway without a supervisor, as service managers and containers want it.
    Gateway(serve::Alone),
    /// Checks the configuration and prints what it means.
    Check,
    /// Runs everything on loopback with generated keys and a simulated upstream.
    Demo(demo::Demo),
    /// Reads the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Adds up what was spent, and compares it with what the provider says.
    Cost(cost::Cost),
    /// Explains routes.
    #[command(subcommand)]
    Route(route::Route),
    /// Looks for secrets in files.
    Scan(scan::Scan),
    #[command(flatten)]
    Nouns(Nouns),
}

/// Why a command failed, with its exit code.
#[derive(Debug)]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// What to print; empty where everything has been said.
    pub message: String,
}

impl Failed {
    /// A failure of the command itself.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
        }
    }

    /// A wrong configuration or usage.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // One provider of cryptography for everything that speaks TLS; a second call changes nothing.
    crate::tls::use_ring();
    let root = Root::parse();
    let mut output = Output::new(root.json);
    match run(root, &mut output) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            output.error(&failed.message);
            ExitCode::from(failed.code)
        }
    }
}

/// Carries the command out; gives the exit code.
fn run(root: Root, output: &mut Output) -> Result<u8, Failed> {
    let source = Source {
        file: root.config,
        data_dir: root.data,
    };
    let load = |source: &Source| source.load().map_err(Failed::usage);
    match root.command {
        Command::Serve => return serve::serve(&source).map(|ended| ended.0),
        Command::Gateway(alone) => {
            return serve::gateway(&alone, source, output).map(|ended| ended.0);
        }
        Command::Check => check::check(&source, output),
        Command::Demo(demo) => demo::demo(&demo, source.data_dir.as_deref(), output),
        Command::Ledger(ledger) => ledger::ledger(&ledger, &load(&source)?, output),
        Command::Cost(cost) => return cost::cost(&cost, &load(&source)?, output),
        Command::Scan(scan) => return scan::scan(&scan, &load(&source)?, output),
        Command::Route(route) => route::route(&route, &load(&source)?, output),
        Command::Nouns(nouns) => administer(nouns, &load(&source)?, output),
    }
    .map(|()| 0)
}

/// Carries an administrative command out: by the running node, else here, under the journal's lock.
fn administer(nouns: Nouns, config: &Config, output: &mut Output) -> Result<(), Failed> {
    let offline = |command| {
        let runtime = serve::runtime().map_err(|failed| NotDone::Offline(failed.message))?;
        runtime.block_on(async {
            let opened = assemble::foundation(config, None).await;
            let foundation = opened.map_err(|error| NotDone::Offline(error.to_string()))?;
            let uid = own_uid().map_err(|error| NotDone::Offline(error.to_string()))?;
            let answer = foundation.admin().execute(uid, command).await;
            foundation.close().await;
            answer.map_err(NotDone::Declined)
        })
    };
    let done = nouns.run(&config.server.data_dir, &offline, output);
    done.map_err(|not| Failed {
        code: not.exit_code(),
        message: not.to_string(),
    })
}
