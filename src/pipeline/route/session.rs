//! What requests that belong together have in common.

use crate::types::digest::Sha256;
use crate::types::ids::{SessionId, TenantId, UserId};

/// The sitting that a request belongs to: as its client names it, else that of the credential.
///
/// What a client says chooses among equals only, and only for its own user.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The caller.
    pub user: UserId,
    /// The session of the credential.
    pub own: &'a SessionId,
    /// The client's name for it (`x-claude-code-session-id`), which outlives short-lived tokens.
    pub client: Option<&'a str>,
}

impl Session<'_> {
    /// One number for all requests of the session, and another one for every other session.
    pub(super) fn digest(&self) -> Sha256 {
        let (kind, name) = match self.client {
            Some(client) => (b"c", client),
            None => (b"o", self.own.as_str()),
        };
        let (tenant, user) = (self.tenant.as_uuid(), self.user.as_uuid());
        // Only the last part has no fixed length.
        Sha256::of_parts(&[tenant.as_bytes(), user.as_bytes(), kind, name.as_bytes()])
    }
}
