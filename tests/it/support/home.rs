//! A folder of its own for each test: configuration, data, logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::postgres::Database;

/// A temporary folder, removed at the end of a test that passed.
#[derive(Debug)]
pub struct Home {
    /// Where the store is, if it is not a file in here.
    pub database: Option<Database>,
    path: PathBuf,
}

impl Home {
    /// A new, empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).expect("the target folder is writable");
        Self { path, database: None }
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, its folders included.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("the path lies inside")).expect("folders can be made");
        fs::write(&path, text).expect("the home is writable");
        path
    }

    /// Replaces a file in one step, as a careful operator does: nobody reads half of it.
    pub fn replace(&self, name: &str, text: &str) {
        let draft = self.write(&format!("{name}.draft"), text);
        fs::rename(draft, self.join(name)).expect("the home is writable");
    }

    /// A file's text; empty when there is none yet.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.join(name)).unwrap_or_default()).into_owned()
    }

    /// Every file inside, at any depth.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of ours").flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        files
    }

    /// The files that contain these bytes.
    pub fn files_containing(&self, needle: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap_or_default();
            memchr::memmem::find(&bytes, needle.as_bytes()).is_some()
        };
        self.files().into_iter().filter(holds).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the files of this test are kept in {}", self.path.display());
        } else {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}
