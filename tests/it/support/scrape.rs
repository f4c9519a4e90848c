//! What the gateway's metrics say at this moment.

use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;

/// The whole page.
pub async fn page(gateway: &Gateway) -> String {
    let call = Call::new("GET", "/metrics");
    Connection::open(gateway.metrics).await.call(&call).await.text()
}

/// One series, by its name with its labels in alphabetical order; 0 while it does not exist.
pub async fn value(gateway: &Gateway, series: &str) -> f64 {
    let page = page(gateway).await;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |text| text.parse().expect("a value is a number"))
}

/// The resident memory of the gateway's process.
pub fn resident_bytes(gateway: &Gateway) -> usize {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", gateway.process_id())).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    kib.expect("a process has resident memory") * 1024
}
