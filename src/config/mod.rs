//! What the operator wrote, parsed into types.
//!
//! Input: one TOML file over the embedded defaults (`conf/default.toml`). Output: a [`Config`], or
//! every mistake at once with file, line and fix. Never: secrets in a message, a default in code,
//! a look at the network. Only `server` and `cli` import this folder.

pub mod check;
pub mod credentials;
pub mod effective;
pub mod file;
pub mod mistake;
pub mod price;
pub mod quantity;
pub mod read;
pub mod resilience;
pub mod route;
pub mod secret_source;
pub mod source;

pub use file::Config;
