//! What we say to the service manager: sd_notify(3), and the sockets that it hands over.
//!
//! Without a manager nothing is said and nothing is handed over.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The name under which the socket of `/metrics` is handed over (`FileDescriptorName=metrics`); all
/// others are public.
const METRICS: &str = "metrics";

/// Sockets that were listening before we were started.
#[derive(Debug, Default)]
pub struct Passed {
    /// For clients.
    pub public: Vec<TcpListener>,
    /// For `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Option<TcpListener>,
}

impl Passed {
    /// Takes the sockets over (sd_listen_fds(3)). The variables that announce them are removed, so
    /// this is called once, before there are threads.
    ///
    /// # Errors
    /// What was handed over is no listening TCP socket, or has no usable state.
    pub fn take() -> std::io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the names are part of the protocol that hands sockets over, no configuration"
        )]
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let Some(socket) = sockets.take_tcp_listener(index)? else {
                continue;
            };
            socket.set_nonblocking(true)?;
            if name == METRICS {
                passed.metrics = Some(socket);
            } else {
                passed.public.push(socket);
            }
        }
        Ok(passed)
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// We serve.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// We are ending.
pub fn stopping(status: &str) {
    say(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// How long the manager's watchdog (`WatchdogSec=`) waits between signs of life; none where it is off.
pub fn watchdog_patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// A sign of life.
pub fn alive() {
    say(&[NotifyState::Watchdog]);
}
