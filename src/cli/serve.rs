//! `tollgate serve` and `tollgate gateway`

use std::ffi::OsString;

use clap::Args;

use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::config::Config;
use crate::config::file::LogFormat;
use crate::config::source::Source;
use crate::runner::supervisor::{self, Gateway};
use crate::server::assemble::{Node, StartError};
use crate::server::run::{self, Ending, Start};
use crate::server::service::Passed;
use crate::telemetry::logs::{self, Log};

/// What the supervisor logs; it reads no configuration that could say otherwise.
const SUPERVISOR_LOG: &str = "info";

/// Arguments of `tollgate gateway`.
#[derive(Debug, Args)]
pub struct Alone {
    /// A supervisor speaks through standard input; its end ends the gateway.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// Keeps a gateway running in a process of its own. This one opens no key, no database and no
/// configuration.
pub fn serve(source: &Source) -> Result<Ended, Failed> {
    let _log = logs::start(SUPERVISOR_LOG, logs::Format::Text).map_err(Failed::new)?;
    let mut arguments: Vec<OsString> = vec!["gateway".into(), "--supervised".into()];
    let named = [("--config", &source.file), ("--data", &source.data_dir)];
    for (name, path) in named {
        if let Some(path) = path {
            arguments.extend([name.into(), path.into()]);
        }
    }
    let program = std::env::current_exe().map_err(Failed::new)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let gateway = Gateway { program, arguments };
    let code = runtime
        .map_err(Failed::new)?
        .block_on(supervisor::supervise(&gateway));
    code.map(Ended).map_err(Failed::new)
}

/// Runs the gateway until SIGTERM or SIGINT, and prints where it listens.
pub fn gateway(alone: &Alone, mut source: Source, output: &mut Output) -> Result<Ended, Failed> {
    let passed = Passed::take().map_err(Failed::new)?;
    // Once a file is in force it stays the one: its absence is a mistake, not the defaults.
    source.file = source.file();
    let config = source.load().map_err(Failed::usage)?;
    let log = start_logs(&config)?;
    let start = Start {
        config,
        source: Some(source),
        passed,
        supervised: alone.supervised,
        log: Some(log.filter()),
    };
    runtime()?.block_on(async {
        let announce = async |started: &run::Started, _: &Node| {
            for address in &started.public {
                output.line(&format!("listening on {address}"))?;
            }
            output.line(&format!("metrics on {}", started.metrics))
        };
        run::run(start, announce).await.map(Ended::from).map_err(failed)
    })
}

/// The exit code of a gateway that was told to end.
#[derive(Clone, Copy, Debug)]
pub struct Ended(pub u8);

impl From<Ending> for Ended {
    fn from(ending: Ending) -> Self {
        Self(match ending {
            Ending::Clean => 0,
            Ending::Cut(_) => 5,
            Ending::Unwritten => 6,
        })
    }
}

/// Mistakes in the configuration have an exit code of their own.
fn failed(error: StartError) -> Failed {
    match error {
        StartError::Configuration(mistakes) => Failed::usage(mistakes),
        other => Failed::new(other),
    }
}

/// Starts logging as configured, until the result is dropped.
pub(super) fn start_logs(config: &Config) -> Result<Log, Failed> {
    let format = match config.log.format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    logs::start(&config.log.filter, format).map_err(Failed::usage)
}

/// The runtime that everything asynchronous runs on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failed::new)
}
