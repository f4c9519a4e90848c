//! A TCP proxy that takes its time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::wait::pause;

/// Passes bytes on, each piece later than it came.
pub struct Delay {
    /// Where it listens.
    pub address: SocketAddr,
    millis: Arc<AtomicU64>,
    _work: JoinSet<()>,
}

impl Delay {
    /// A proxy before this address, without delay yet.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let millis = Arc::new(AtomicU64::new(0));
        let delay = millis.clone();
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut pumps = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(target).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                pumps.spawn(pump(from_client, to_server, delay.clone()));
                pumps.spawn(pump(from_server, to_client, delay.clone()));
            }
        });
        Self {
            address,
            millis,
            _work: work,
        }
    }

    /// From now on each piece takes so much longer, in either direction.
    pub fn set(&self, delay: Duration) {
        let millis = delay.as_millis().try_into().expect("a short delay");
        self.millis.store(millis, Ordering::SeqCst);
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    millis: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        pause(Duration::from_millis(millis.load(Ordering::SeqCst))).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
