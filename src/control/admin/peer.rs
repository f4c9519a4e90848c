//! Whom the admin socket serves, by the kernel's word alone.

use std::io;

use tokio::net::UnixStream;

/// Root on this machine.
const ROOT: u32 = 0;

/// The Unix users that are served.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    own_uid: u32,
    root: bool,
}

impl Admitted {
    /// The user that this process runs as, and root.
    pub fn own_user_and_root() -> io::Result<Self> {
        Ok(Self {
            own_uid: own_uid()?,
            root: true,
        })
    }

    /// This user only, not even root.
    pub const fn only(uid: u32) -> Self {
        Self {
            own_uid: uid,
            root: false,
        }
    }

    /// Whether this user is served.
    pub const fn admits(self, uid: u32) -> bool {
        uid == self.own_uid || (self.root && uid == ROOT)
    }
}

/// The effective user of this process, as the kernel tells the other end of a socket. Needs a Tokio runtime.
pub fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_its_own_user_and_root() {
        let admitted = Admitted {
            own_uid: 1_000,
            root: true,
        };
        for (uid, expected) in [(0, true), (1_000, true), (1_001, false), (65_534, false)] {
            assert_eq!(admitted.admits(uid), expected, "{uid}");
        }
        assert!(!Admitted::only(1_000).admits(0));
    }
}
