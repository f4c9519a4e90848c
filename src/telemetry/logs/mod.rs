//! Log lines on the error stream, for people or as JSON.
//!
//! Input: what the rest of the gateway says through `tracing`. Output: lines, written by a thread of
//! their own. Never: a credential, a prompt, an answer.

mod lines;

use std::fmt;
use std::sync::Arc;

use tracing_subscriber::{EnvFilter, reload};

use self::lines::Lines;

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
    /// The log is gone.
    #[error("the log's filter cannot be changed: {0}")]
    Gone(#[from] reload::Error),
    /// Somebody was first.
    #[error("logging was already set up")]
    Twice,
    /// The thread that writes lines cannot be started.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The log of this process. Lines are written until it is dropped.
pub struct Log {
    filter: Filter,
    _lines: Lines,
}

impl Log {
    /// What it lets through, for whoever may change that.
    pub fn filter(&self) -> Filter {
        self.filter.clone()
    }
}

/// How a filter is exchanged; its type names the format, which nobody needs to know.
type Exchange = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// What the log lets through, which can be changed while lines are written.
#[derive(Clone)]
pub struct Filter(Arc<Exchange>);

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

impl Filter {
    fn of<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Self {
        Self(Arc::new(move |filter| handle.reload(filter)))
    }

    /// Whether this text is a filter.
    ///
    /// # Errors
    /// [`LogError::Filter`]
    pub fn check(filter: &str) -> Result<(), LogError> {
        EnvFilter::try_new(filter)?;
        Ok(())
    }

    /// Lets through what this filter says from now on.
    ///
    /// # Errors
    /// It is none, or the log is gone.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let exchange = &self.0;
        Ok(exchange(EnvFilter::try_new(filter)?)?)
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`LogError`] for an unreadable filter, a thread that cannot be had, or the second call.
pub fn start(filter: &str, format: Format) -> Result<Log, LogError> {
    let filter = EnvFilter::try_new(filter)?;
    let (inlet, lines) = lines::lines(std::io::stderr())?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(inlet)
        .with_target(true);
    let (filter, started) = match format {
        Format::Text => {
            let subscriber = subscriber.with_ansi(false).with_filter_reloading();
            (Filter::of(subscriber.reload_handle()), subscriber.try_init())
        }
        Format::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
            (Filter::of(subscriber.reload_handle()), subscriber.try_init())
        }
    };
    started.map_err(|_| LogError::Twice)?;
    Ok(Log {
        filter,
        _lines: lines,
    })
}
