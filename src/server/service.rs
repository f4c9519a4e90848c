//! What we say to the service manager: sd_notify(3), and the sockets that it hands over.
//!
//! Without a manager nothing is said and nothing is handed over.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::journal::Journal;

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

/// What has to answer for the process to count as alive.
pub struct Vital {
    /// Its writer thread has to come round.
    pub journal: Arc<Journal>,
    /// A plain public listener that has to answer; none where all speak TLS.
    pub public: Option<SocketAddr>,
    /// True once the listeners are closed.
    pub stopping: watch::Receiver<bool>,
}

/// Feeds the manager's watchdog (`WatchdogSec=`) twice in its time, as long as everything that is
/// vital answers; until `finishing` turns true.
pub async fn watchdog(vital: Vital, mut finishing: watch::Receiver<bool>) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = patience / 2;
    loop {
        match tokio::time::timeout(pause, vital.answers()).await {
            Ok(Ok(())) => say(&[NotifyState::Watchdog]),
            Ok(Err(what)) => tracing::error!(what, "no sign of life; the watchdog is not fed"),
            Err(_) => tracing::error!("no sign of life in time; the watchdog is not fed"),
        }
        tokio::select! {
            _ = finishing.wait_for(|finish| *finish) => return,
            () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
        }
    }
}

/// How rarely signs of life are looked for, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl Vital {
    async fn answers(&self) -> Result<(), &'static str> {
        self.journal.answers().await.map_err(|_| "the journal's writer")?;
        match self.public {
            Some(address) if !*self.stopping.borrow() => {
                asked(address).await.map_err(|_| "the public listener")
            }
            _ => Ok(()),
        }
    }
}

/// Whether whoever listens there says anything at all to a request.
async fn asked(address: SocketAddr) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    let request = b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await?;
    connection.read_u8().await.map(|_| ())
}
