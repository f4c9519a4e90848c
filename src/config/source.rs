//! Where a configuration is read from, again and again.

use std::path::{Path, PathBuf};

use crate::config::file::Config;
use crate::config::mistake::Mistakes;
use crate::config::read::{self, Examined};

/// The configuration file that is looked for when none is named.
const USUAL_FILE: &str = "tollgate.toml";

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file; `tollgate.toml` in the working directory where it exists, else the defaults alone.
    pub file: Option<PathBuf>,
    /// A data directory that wins over the configured one.
    pub data_dir: Option<PathBuf>,
}

impl Source {
    /// Reads and checks the configuration as it is now.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(&self) -> Result<Config, Mistakes> {
        self.examine().into_result()
    }

    /// Reads the configuration as far as it can be understood, with every mistake in it.
    pub fn examine(&self) -> Examined {
        match self.file() {
            Some(file) => read::file(&file, self.data_dir.as_deref()),
            None => read::text("", Path::new(USUAL_FILE), self.data_dir.as_deref()),
        }
    }

    /// The file that is read, if one is.
    pub fn file(&self) -> Option<PathBuf> {
        let usual = || PathBuf::from(USUAL_FILE);
        self.file.clone().or_else(|| usual().exists().then(usual))
    }
}
