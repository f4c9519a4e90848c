//! The key-encryption key: 32 bytes from a file or from the environment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::types::entropy::{Entropy, base62};
use crate::types::secret::Secret;
use crate::vault::VaultError;

/// The length of the key.
pub const KEY_BYTES: usize = 32;

/// A key file holds one line; whatever is longer is some other file.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Reads a key from text: 44 characters of base64, or 64 hex digits; white space around it is ignored.
pub fn from_text(text: &[u8]) -> Result<Secret<[u8; KEY_BYTES]>, VaultError> {
    let text = std::str::from_utf8(text).map_err(|_| VaultError::NotAKey)?.trim();
    let bytes = if text.len() == 2 * KEY_BYTES {
        from_hex(text)
    } else {
        STANDARD.decode(text).ok().map(Secret::new)
    };
    let bytes = bytes.ok_or(VaultError::NotAKey)?;
    let key = bytes
        .expose()
        .as_slice()
        .try_into()
        .map_err(|_| VaultError::NotAKey)?;
    Ok(Secret::new(key))
}

fn from_hex(text: &str) -> Option<Secret<Vec<u8>>> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            pair.iter().all(u8::is_ascii_hexdigit).then_some(())?;
            u8::from_str_radix(digits, 16).ok()
        })
        .collect::<Option<Vec<u8>>>()
        .map(Secret::new)
}

/// Reads the key of this file; creates the file with a new key, readable by its owner only, if there is none.
///
/// A file that others may read is refused: the key in it must count as known.
pub fn from_file(path: &Path, entropy: &dyn Entropy) -> Result<Secret<[u8; KEY_BYTES]>, VaultError> {
    match read(path) {
        Err(VaultError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            create(path, entropy).map_err(|source| VaultError::KeyFile {
                path: path.display().to_string(),
                attempt: "created",
                source,
            })?;
            read(path)
        }
        outcome => outcome,
    }
}

fn read(path: &Path) -> Result<Secret<[u8; KEY_BYTES]>, VaultError> {
    let shown = || path.display().to_string();
    let unreadable = |source| VaultError::KeyFile {
        path: shown(),
        attempt: "read",
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(VaultError::OpenToOthers { path: shown(), mode });
    }
    let mut text = Secret::new(Vec::with_capacity(128));
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_end(text.expose_mut())
        .map_err(unreadable)?;
    from_text(text.expose())
}

/// Writes a new key beside its place and links it there. The link fails if a file stands there already:
/// of two processes that start together one wins, and both read the winner's key.
fn create(path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let mut key = Secret::new([0u8; KEY_BYTES]);
    entropy.fill(key.expose_mut());
    let line = Secret::new(STANDARD.encode(key.expose()) + "\n");
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let draft = directory.join(format!(".vault-key-{}", base62(entropy, 12)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file
        .write_all(line.expose().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome,
        });
    fs::remove_file(&draft)?;
    written?;
    // A key that a power cut forgets would shut everything sealed under it.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::entropy::SystemEntropy;

    #[test]
    fn reads_base64_and_hex_and_nothing_else() {
        let good = [
            STANDARD.encode([1u8; 32]) + "\n",
            "01".repeat(32),
            format!("  {}\r\n", "01".repeat(32)),
        ];
        for text in good {
            assert_eq!(from_text(text.as_bytes()).unwrap().expose(), &[1u8; 32], "{text}");
        }
        let bad = [
            String::new(),
            "0g".repeat(32),
            "+1".repeat(32),
            "01".repeat(31),
            STANDARD.encode([1u8; 31]),
            STANDARD.encode([1u8; 33]),
        ];
        for text in bad {
            assert!(
                matches!(from_text(text.as_bytes()), Err(VaultError::NotAKey)),
                "{text}"
            );
        }
        assert!(from_text(&[0xff; 32]).is_err());
    }

    #[test]
    fn creates_the_file_once_for_its_owner_only_and_leaves_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        let entropy = SystemEntropy::new();
        let first = from_file(&path, &entropy).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(from_file(&path, &entropy).unwrap().expose(), first.expose());
        create(&path, &entropy).unwrap();
        assert_eq!(from_file(&path, &entropy).unwrap().expose(), first.expose());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_a_file_that_others_may_read_and_names_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        from_file(&path, &SystemEntropy::new()).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refusal = from_file(&path, &SystemEntropy::new())
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(refusal.contains("chmod 600"), "{refusal}");
        }
    }

    #[test]
    fn says_which_file_it_could_not_create() {
        let refusal = from_file(Path::new("/nonexistent/vault.key"), &SystemEntropy::new());
        assert!(
            refusal
                .map(|_| ())
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/vault.key")
        );
    }
}
