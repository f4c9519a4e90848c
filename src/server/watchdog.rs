//! The service manager's watchdog: fed as long as everything that is vital answers.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::server::service;
use crate::tls::knock::Knock;
use crate::tls::listener::ListenerTls;

/// How rarely signs of life are looked for, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is read of an answer at once, in bytes.
const READ_BYTES: usize = 4 * 1024;

/// The PROXY header of a proxy that asks for itself, as for a health check (version 2, command LOCAL).
const PROXY_LOCAL: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// What has to answer for the process to count as alive.
pub struct Vital {
    /// Its journal's writer has to come round.
    pub gateway: Arc<Gateway>,
    /// Public listeners, each of which has to answer.
    pub public: Vec<SocketAddr>,
    /// What they speak TLS with; plain HTTP without it.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether trusted proxies begin every connection with a PROXY header.
    pub proxy_protocol: bool,
    /// True once the listeners are closed.
    pub stopping: watch::Receiver<bool>,
}

/// Feeds the manager's watchdog (`WatchdogSec=`) twice in its time, as long as everything that is
/// vital answers; until `finishing` turns true.
pub async fn watchdog(vital: Vital, mut finishing: watch::Receiver<bool>) {
    let Some(patience) = service::watchdog_patience() else {
        return;
    };
    let pause = patience / 2;
    loop {
        match tokio::time::timeout(pause, vital.answers()).await {
            Ok(Ok(())) => service::alive(),
            Ok(Err(what)) => tracing::error!(what, "no sign of life; the watchdog is not fed"),
            Err(_) => tracing::error!("no sign of life in time; the watchdog is not fed"),
        }
        tokio::select! {
            _ = finishing.wait_for(|finish| *finish) => return,
            () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
        }
    }
}

impl Vital {
    async fn answers(&self) -> std::result::Result<(), &'static str> {
        let journal = self.gateway.ledger.journal();
        journal.answers().await.map_err(|_| "the journal's writer")?;
        for address in &self.public {
            let answered = self.listener_answers(*address).await;
            // What was asked while the listeners closed says nothing.
            if answered.is_err() && !*self.stopping.borrow() {
                return Err("a public listener");
            }
        }
        Ok(())
    }

    async fn listener_answers(&self, address: SocketAddr) -> Result<()> {
        let mut connection = TcpStream::connect(address).await?;
        let own = connection.local_addr()?.ip().to_canonical();
        let snapshot = self.gateway.snapshot.load_full();
        let answered = async {
            if self.proxy_protocol && snapshot.trusted.trusts(own) {
                connection.write_all(PROXY_LOCAL).await?;
            }
            match &self.tls {
                Some(tls) => shakes_hands(&mut connection, tls).await,
                None => speaks(&mut connection).await,
            }
        };
        match answered.await {
            // It has as many connections as it may and closes one more: only what lives can do that.
            Err(error)
                if is_closed(&error) && self.gateway.connections.count() >= snapshot.connections_max =>
            {
                Ok(())
            }
            answered => answered,
        }
    }
}

fn is_closed(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Whoever listens says anything at all to a request.
async fn speaks(connection: &mut TcpStream) -> Result<()> {
    let request = b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await?;
    connection.read_u8().await.map(|_| ())
}

/// Whoever listens shows our certificate and proves to have its key. A client certificate, where one is
/// required, is asked for after that.
async fn shakes_hands(connection: &mut TcpStream, tls: &Arc<ListenerTls>) -> Result<()> {
    let mut knock = Knock::at(tls).map_err(Error::other)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        connection.write_all(&knock.outgoing()?).await?;
        let read = connection.read(&mut buffer).await?;
        let said = buffer.get(..read).unwrap_or_default();
        if said.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if knock.incoming(said)? {
            return Ok(());
        }
    }
}
