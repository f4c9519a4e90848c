//! `tollgate serve`

use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::config::Config;
use crate::config::file::LogFormat;
use crate::server::assemble::Node;
use crate::server::run;
use crate::telemetry::logs::{self, Lines};

/// Runs the gateway until SIGTERM or SIGINT, and prints where it listens.
pub fn serve(config: Config, output: &mut Output) -> Result<(), Failed> {
    let _log = start_logs(&config)?;
    runtime()?.block_on(async {
        let announce = async |started: &run::Started, _: &Node| {
            for address in &started.public {
                output.line(&format!("listening on {address}"))?;
            }
            output.line(&format!("metrics on {}", started.metrics))
        };
        run::run(config, announce).await.map_err(Failed::new)
    })
}

/// Starts logging as configured, until the result is dropped.
pub(super) fn start_logs(config: &Config) -> Result<Lines, Failed> {
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
