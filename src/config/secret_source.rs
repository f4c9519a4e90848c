//! Where a secret's value comes from. The value itself never stands in a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::secret::Secret;

/// Where systemd puts credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// `env:NAME`, `file:PATH` or `credential:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SecretSource {
    /// An environment variable of the gateway's process.
    Env(String),
    /// A credential that systemd hands to the service (`LoadCredential=`).
    Credential(String),
    /// A file; trailing line ends are not part of the value.
    File(PathBuf),
}

impl TryFrom<String> for SecretSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("credential", name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::Credential(name.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // The text is not repeated: somebody may have pasted the secret itself.
            _ => Err(
                "a secret is named by its source, not written here: use \"env:NAME\", \"file:PATH\" or \"credential:NAME\""
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// The secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretMissing {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} is not set or empty: set it before the start")]
    Env(String),
    /// There are no credentials.
    #[error("the credential {0} cannot be had: run as a systemd service with LoadCredential={0}:PATH")]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
}

impl SecretSource {
    /// Reads the value; `folder` is what relative paths are relative to.
    ///
    /// # Errors
    /// [`SecretMissing`] names the source, never the value.
    pub fn read(&self, folder: &Path) -> Result<Secret<String>, SecretMissing> {
        match self {
            Self::Env(name) => {
                let value = variable(name);
                if value.is_empty() {
                    return Err(SecretMissing::Env(name.clone()));
                }
                Ok(Secret::new(value))
            }
            Self::Credential(name) => {
                let folder = variable(CREDENTIALS);
                if folder.is_empty() {
                    return Err(SecretMissing::NoCredentials(name.clone()));
                }
                Self::File(Path::new(&folder).join(name)).read(Path::new(""))
            }
            Self::File(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path).map_err(|source| SecretMissing::File {
                    path: path.clone(),
                    source,
                })?;
                let value = text.trim_end_matches(['\r', '\n']).to_owned();
                if value.is_empty() {
                    return Err(SecretMissing::Empty(path));
                }
                Ok(Secret::new(value))
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "config is the one place that reads the environment"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
