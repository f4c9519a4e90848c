//! Log lines on the error stream, for people or as JSON.
//!
//! Input: what the rest of the gateway says through `tracing`. Output: lines, written by a thread of
//! their own. Never: a credential, a prompt, an answer.

mod lines;

use tracing_subscriber::EnvFilter;

pub use self::lines::Lines;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter is not one, or logging was set up before.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log.filter: {0}: write a level such as \"info\" or \"info,tollgate=debug\"")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody was first.
    #[error("logging was already set up")]
    Twice,
    /// The thread that writes lines cannot be started.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts logging for the whole process. Lines are written until the result is dropped.
///
/// # Errors
/// [`LogError`] for an unreadable filter, a thread that cannot be had, or the second call.
pub fn start(filter: &str, format: Format) -> Result<Lines, LogError> {
    let filter = EnvFilter::try_new(filter)?;
    let (inlet, lines) = lines::lines(std::io::stderr())?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(inlet)
        .with_target(true);
    let started = match format {
        Format::Text => subscriber.with_ansi(false).try_init(),
        Format::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LogError::Twice)?;
    Ok(lines)
}
