//! Log lines on the error stream, for people or as JSON.

use tracing_subscriber::EnvFilter;

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
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`LogError`] for an unreadable filter, or the second call.
pub fn start(filter: &str, format: Format) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true);
    let started = match format {
        Format::Text => lines.with_ansi(false).try_init(),
        Format::Json => lines.json().try_init(),
    };
    started.map_err(|_| LogError::Twice)
}
