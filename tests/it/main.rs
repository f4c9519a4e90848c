//! The behaviour of the real binary over real sockets, one module per topic, and the house rules.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests fail by panicking; they start the binary and the simulated upstreams themselves"
)]

mod support;

mod balance;
mod bedrock;
mod bodies;
mod claude_code;
mod cli;
mod clouds;
mod codex;
mod control;
mod converse;
mod cost;
mod crash;
mod credentials;
mod deployment;
mod failover;
mod faults;
mod fuzzed;
mod gemini;
mod http2;
mod identity;
mod ingress;
mod ledger;
mod lent;
mod mocks;
mod model_server;
mod models;
mod observed;
mod openai;
mod openai_responses;
mod policy;
mod proxies;
mod recorded;
mod recorded_openai;
mod refusals;
mod reload;
mod replicas;
mod resilience;
mod route_trial;
mod routing;
mod secrets;
mod service;
mod shutdown;
mod store_access;
mod store_durability;
mod store_faults;
mod streams;
mod suite;
mod supervisor;
mod tidy;
mod tls;
mod upstream_tls;
mod vectors;
