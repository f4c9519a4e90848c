//! Credentials that clouds lend: on what grounds, and what the environment says about them.

use serde::Deserialize;

/// On what grounds a cloud lends an upstream's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// By what this machine is: its role, its identity. Metadata services are asked.
    Platform,
    /// In exchange for what `api_key_secret` names, at a token endpoint.
    Exchange,
}

/// Those of these environment variables that are set, with their values.
pub fn variables(names: &[&'static str]) -> Vec<(&'static str, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is the one place that reads the environment"
    )]
    let value = |name: &'static str| Some((name, std::env::var(name).ok()?));
    names.iter().copied().filter_map(value).collect()
}
