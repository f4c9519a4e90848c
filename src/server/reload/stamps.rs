//! Whether files have changed, told without reading them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// More entries of a folder than this are not looked at.
const ENTRIES_MAX: usize = 10_000;

/// What some files looked like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

/// One file, links followed. A file that is replaced has another inode, one that is written another
/// time of change, which no program can set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// What these files look like now, and those in these folders. A missing file looks like one.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut found = Vec::new();
        for path in paths {
            found.push((path.clone(), stamp(path)));
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let mut entries: Vec<PathBuf> = entries.take(ENTRIES_MAX).map(|entry| entry.path()).collect();
            entries.sort();
            found.extend(entries.into_iter().map(|entry| {
                let stamp = stamp(&entry);
                (entry, stamp)
            }));
        }
        Self(found)
    }

    /// These, but as `earlier` saw the files that it knows.
    pub(super) fn or_earlier(mut self, earlier: &Self) -> Self {
        for (path, stamp) in &mut self.0 {
            if let Some((_, seen)) = earlier.0.iter().find(|(known, _)| known == path) {
                *stamp = *seen;
            }
        }
        self
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes files below a folder, changes them, and asks whether that was seen.
    fn check(what: &str, changes: impl Fn(&Path), seen: bool) {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        fs::create_dir_all(at.join("..first")).unwrap();
        fs::create_dir_all(at.join("..second/policies")).unwrap();
        fs::create_dir_all(at.join("..first/policies")).unwrap();
        for folder in ["..first", "..second"] {
            fs::write(at.join(folder).join("t.toml"), "a").unwrap();
            fs::write(at.join(folder).join("policies/p.cedar"), "a").unwrap();
        }
        fs::write(at.join("unwatched"), "a").unwrap();
        symlink("..first", at.join("..data")).unwrap();
        symlink("..data/t.toml", at.join("t.toml")).unwrap();
        symlink("..data/policies", at.join("policies")).unwrap();
        let paths = [at.join("t.toml"), at.join("policies"), at.join("missing")];
        let before = Stamps::of(&paths);
        assert_eq!(before, Stamps::of(&paths));
        changes(at);
        assert_eq!(before != Stamps::of(&paths), seen, "{what}");
    }

    #[test]
    fn every_way_of_changing_a_file_is_seen() {
        check("nothing", |_| {}, false);
        check(
            "another file",
            |at| fs::write(at.join("unwatched"), "b").unwrap(),
            false,
        );
        check(
            "written in place",
            |at| fs::write(at.join("t.toml"), "bb").unwrap(),
            true,
        );
        let rename_over = |at: &Path| {
            fs::write(at.join("new"), "a").unwrap();
            fs::rename(at.join("new"), at.join("..data/t.toml")).unwrap();
        };
        check("renamed over", rename_over, true);
        // As the kubelet does it: a link above the files is exchanged in one step.
        let exchange = |at: &Path| {
            symlink("..second", at.join("..new")).unwrap();
            fs::rename(at.join("..new"), at.join("..data")).unwrap();
        };
        check("the link above exchanged", exchange, true);
        check("removed", |at| fs::remove_file(at.join("t.toml")).unwrap(), true);
        check("made", |at| fs::write(at.join("missing"), "a").unwrap(), true);
        let policy = |at: &Path| fs::write(at.join("policies/p.cedar"), "ab").unwrap();
        check("a file in a folder", policy, true);
        let another = |at: &Path| fs::write(at.join("policies/q.cedar"), "a").unwrap();
        check("another file in a folder", another, true);
    }

    #[test]
    fn what_was_seen_before_reading_counts() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        fs::write(&a, "a").unwrap();
        let early = Stamps::of(std::slice::from_ref(&a));
        fs::write(&a, "changed").unwrap();
        let both = [a, b];
        let seen = Stamps::of(&both).or_earlier(&early);
        assert_ne!(seen, Stamps::of(&both), "the change after reading is still news");
    }
}
