//! Tollgate: a self-hosted AI governance gateway.
//!
//! Every governed act walks one path: identify, inspect, route, decide, record (open), translate,
//! forward, record (close). This file is the map; lower floors never import higher ones.

// Floor 0: the vocabulary.
pub mod types;

// Floor 1: wire formats.
pub mod dialect;

// Floor 2: services.
pub mod config;
pub mod egress;
