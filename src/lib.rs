//! Tollgate: a self-hosted AI governance gateway.
//!
//! Every governed act walks one path: identify, inspect, route, decide, record (open), translate,
//! forward, record (close). This file is the map; lower floors never import higher ones.

// Floor 0: the vocabulary.
pub mod types;

// Floor 1: wire formats as bytes; names of logs and metrics; TLS material.
pub mod dialect;
pub mod telemetry;
pub mod tls;

// Floor 2: plain services. What the operator wrote, where connections may go, the append-only
// journal, the store that auditors query, and the sealing of our own secrets.
pub mod config;
pub mod egress;
pub mod journal;
pub mod store;
pub mod vault;

// Floor 3: which vendors there are, how each is addressed and a request to it authorised.
pub mod provider;

// Floor 4: the governed path, one folder a stage.
pub mod pipeline;

// Floor 5: the data plane's front, the control plane's front, work in the background, and other
// processes.
pub mod control;
pub mod gateway;
pub mod jobs;
pub mod runner;

// Floor 6: composition.
pub mod server;

// Floor 7: the command line.
pub mod cli;
