//! The command line as a whole: what stands before the nouns.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::admin_client::NotDone;
use crate::cli::output::Output;
use crate::cli::{Nouns, check, demo, ledger, serve};
use crate::config::{Config, read};
use crate::control::admin::peer::own_uid;
use crate::server::assemble;

/// The configuration file that is looked for when none is named.
const USUAL_FILE: &str = "tollgate.toml";

/// A self-hosted AI governance gateway.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found or in conflict, \
                        4 the node cannot be reached."
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
    /// Runs the gateway until it is told to stop.
    Serve,
    /// Checks the configuration and prints what it means.
    Check,
    /// Runs everything on loopback with generated keys and a simulated upstream.
    Demo(demo::Demo),
    /// Reads the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
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
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            output.error(&failed.message);
            ExitCode::from(failed.code)
        }
    }
}

fn run(root: Root, output: &mut Output) -> Result<(), Failed> {
    let place = Place {
        config: root.config,
        data: root.data,
    };
    match root.command {
        Command::Serve => serve::serve(place.load()?, output),
        Command::Check => check::check(&place, output),
        Command::Demo(demo) => demo::demo(&demo, place.data.as_deref(), output),
        Command::Ledger(ledger) => ledger::ledger(&ledger, &place.load()?, output),
        Command::Nouns(nouns) => administer(nouns, &place.load()?, output),
    }
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

/// Where the configuration and the data are.
#[derive(Debug)]
pub struct Place {
    config: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Place {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every mistake in it, with exit code 2.
    pub fn load(&self) -> Result<Config, Failed> {
        let usual = PathBuf::from(USUAL_FILE);
        let file = self
            .config
            .clone()
            .or_else(|| usual.exists().then(|| usual.clone()));
        let config = match (&file, &self.data) {
            (Some(file), data) => read::from_file(file, data.as_deref()),
            (None, data) => read::from_text("", &usual, data.as_deref()),
        };
        config.map_err(Failed::usage)
    }
}
