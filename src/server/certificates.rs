//! The listener's certificate: read at the start, replaced when its files change.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Config;
use crate::config::file::ClientCertificate;
use crate::tls::listener::{Files, ListenerTls};
use crate::tls::pem::BadMaterial;
use crate::types::clock::{Clock, SystemClock};

/// How often the files are looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another: when and how long it was written, and which it is.
type Seen = Option<(i64, i64, u64, u64)>;

/// Reads the TLS material that a configuration names, if it names any.
///
/// # Errors
/// [`BadMaterial`] names the file and what to do.
pub fn load(config: &Config) -> Result<Option<Arc<ListenerTls>>, BadMaterial> {
    let Some(tls) = &config.server.tls else {
        return Ok(None);
    };
    let files = Files {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        client_required: tls.client_certificate == ClientCertificate::Required,
    };
    ListenerTls::load(files, SystemClock.now()).map(Some)
}

/// Reads the material again and says in the log what came of it.
pub fn reload(tls: &ListenerTls) {
    match tls.reload(SystemClock.now()) {
        Ok(()) => tracing::info!("the listener's certificate was replaced"),
        Err(error) => {
            tracing::warn!(%error, "the listener's certificate stays as it was");
        }
    }
}

/// Reloads whenever a file changes, until `finishing` turns true.
pub async fn watch(tls: Arc<ListenerTls>, mut finishing: watch::Receiver<bool>) {
    let mut seen = look(tls.files());
    loop {
        tokio::select! {
            _ = finishing.wait_for(|finish| *finish) => return,
            () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
        }
        let now = look(tls.files());
        if now != seen {
            seen = now;
            reload(&tls);
        }
    }
}

fn look(files: &Files) -> [Seen; 3] {
    let one = |path: &Path| -> Seen {
        let found = std::fs::metadata(path).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.len(), found.ino()))
    };
    [
        one(&files.certificate),
        one(&files.key),
        files.client_ca.as_deref().and_then(one),
    ]
}
