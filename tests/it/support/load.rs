//! Clients that ask again and again, each request known by its trace on every side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::{Call, Connection};
use crate::support::prompt::ask;
use crate::support::upstream::Received;
use crate::support::wait::until;

/// Clients at work until they are told to stop.
pub struct Load {
    clients: JoinSet<Vec<Asked>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The trace that it was sent with.
    pub trace: String,
    /// The status of the answer; none when the connection broke.
    pub status: Option<u16>,
    /// From sending to the end of the answer.
    pub took: Duration,
}

impl Load {
    /// Starts this many clients; `name` tells their traces from those of other loads.
    pub fn start(address: SocketAddr, key: &str, name: u8, clients: usize) -> Self {
        let mut load = Self {
            clients: JoinSet::new(),
            stop: Arc::new(AtomicBool::new(false)),
            answered: Arc::new(AtomicUsize::new(0)),
        };
        for client in 0..clients {
            let (stop, answered) = (load.stop.clone(), load.answered.clone());
            let key = key.to_owned();
            load.clients.spawn(async move {
                let mut asked = Vec::new();
                for number in 1.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let trace = format!("{name:02x}{client:06x}{number:024x}");
                    let start = Instant::now();
                    let status = ask_once(address, &key, &trace).await;
                    let took = start.elapsed();
                    answered.fetch_add(1, Ordering::SeqCst);
                    asked.push(Asked { trace, status, took });
                    if status.is_none() {
                        break;
                    }
                }
                asked
            });
        }
        load
    }

    /// Waits until this many more requests have been answered.
    pub async fn more(&self, requests: usize) {
        let goal = self.answered.load(Ordering::SeqCst) + requests;
        until("the load to go on", async || {
            (self.answered.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    }

    /// Ends the load and returns all that was asked.
    pub async fn stop(self) -> Vec<Asked> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

/// A request that is known by this trace on every side.
pub fn traced(key: &str, trace: &str) -> Call {
    let mut body = ask("hello");
    body["metadata"] = serde_json::json!({"user_id": trace});
    Call::messages(key, &body).header("traceparent", &format!("00-{trace}-00000000000000a1-01"))
}

/// The trace of a request of [`traced`], as an upstream sees it.
pub fn trace_of(request: &Received) -> String {
    let body = request.json();
    body["metadata"]["user_id"]
        .as_str()
        .expect("the load wrote it there")
        .to_owned()
}

async fn ask_once(address: SocketAddr, key: &str, trace: &str) -> Option<u16> {
    // A killed gateway refuses connections, which is an outcome here and not a mistake.
    drop(TcpStream::connect(address).await.ok()?);
    let call = traced(key, trace);
    let mut connection = Connection::open(address).await;
    connection.send(&call.head_bytes()).await;
    connection.send(&call.body_bytes()).await;
    Some(connection.answer("POST").await?.status)
}
