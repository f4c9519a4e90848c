//! What the tests drive the binary with: its process, its clients, its upstreams and its files.
//!
//! Nothing here asserts behaviour of the gateway beyond "it starts" and "it does not hang".

pub mod anthropic_sim;
pub mod aws_sim;
pub mod azure_sim;
pub mod bedrock_sim;
pub mod claude;
pub mod client;
mod cloud_sims;
pub mod codex;
pub mod columns;
pub mod conversation;
pub mod converse_sim;
pub mod delay;
pub mod form;
pub mod gateway;
pub mod gemini_sim;
pub mod google_sim;
pub mod h2_client;
mod h2_server;
pub mod home;
pub mod ledgers;
pub mod load;
pub mod openai_sim;
pub mod pg_server;
#[path = "../../postgres/mod.rs"]
pub mod postgres;
pub mod prompt;
pub mod records;
mod responses_sim;
pub mod scrape;
pub mod setup;
pub mod sides;
pub mod sse;
pub mod tls;
pub mod upstream;
pub mod wait;
pub mod wire;
