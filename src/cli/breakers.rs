//! What the breakers of a running node show, read from its metrics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::types::ids::UpstreamName;

/// How long a node may take to be reached, and to write on.
const DEADLINE: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const METRICS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The metric, up to the upstream's name.
const STATE: &str = "tollgate_upstream_breaker_state{upstream=\"";

/// The breakers by upstream; none where no node answers.
#[derive(Debug, Default)]
pub struct Breakers(BTreeMap<String, &'static str>);

/// What the node shows whose metrics are here.
pub fn shown(metrics: SocketAddr) -> Breakers {
    let states = read(metrics).unwrap_or_default();
    let states = states.lines().filter_map(|line| {
        let (name, state) = line.strip_prefix(STATE)?.split_once("\"} ")?;
        let state = match state.trim() {
            "0" => "closed",
            "1" => "half open",
            "2" => "open",
            _ => return None,
        };
        Some((name.to_owned(), state))
    });
    Breakers(states.collect())
}

impl Breakers {
    /// `closed`, `half open`, `open`, or `unknown`.
    pub fn of(&self, upstream: &UpstreamName) -> &'static str {
        self.0.get(upstream.as_str()).copied().unwrap_or("unknown")
    }
}

fn read(metrics: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&metrics, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {metrics}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
