//! Why a caller was not identified, and what it is told.

use std::time::Duration;

/// When to ask again after [`NotIdentified::CannotVerify`].
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The caller is not identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIdentified {
    /// No credential was presented.
    #[error("no credential was presented")]
    Missing,
    /// A credential was presented that proves nothing.
    #[error("the credential was rejected")]
    Rejected(#[source] Reason),
    /// The view of identities is too old to answer from: our fault, not the caller's.
    #[error("identities cannot be verified now")]
    CannotVerify,
}

impl NotIdentified {
    /// A stable word for logs, metrics and the ledger.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Rejected(reason) => reason.code(),
            Self::CannotVerify => "cannot_verify",
        }
    }

    /// What the caller is told: what to do, never what it sent.
    pub const fn client_text(self) -> &'static str {
        match self {
            Self::Missing => {
                "No credential was sent. Send your Tollgate key or token in `x-api-key` or as \
                 `Authorization: Bearer`."
            }
            Self::Rejected(reason) => reason.client_text(),
            Self::CannotVerify => {
                "Tollgate cannot verify credentials right now. Your credential was neither accepted nor \
                 rejected; try again shortly."
            }
        }
    }
}

/// Why a credential proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The headers carry two that differ.
    #[error("two different credentials")]
    TwoCredentials,
    /// A header is there, its value is not.
    #[error("empty credential header")]
    Empty,
    /// `Authorization` with another scheme than Bearer.
    #[error("authorization scheme is not Bearer")]
    NotBearer,
    /// Characters outside visible ASCII.
    #[error("credential is not ASCII text")]
    NotText,
    /// Longer than any credential of ours.
    #[error("credential is too long")]
    TooLong,
    /// Neither a key nor a token of ours.
    #[error("neither a key nor a token of this gateway")]
    Unrecognised,
    /// It looks like a key, but its form or its checksum is wrong.
    #[error("malformed key")]
    MalformedKey,
    /// No such key, or the wrong secret for it.
    #[error("unknown key")]
    UnknownKey,
    /// The key was revoked.
    #[error("revoked key")]
    RevokedKey,
    /// The key's time is over.
    #[error("expired key")]
    ExpiredKey,
    /// It looks like a token, but cannot be read as one of ours.
    #[error("malformed token")]
    MalformedToken,
    /// The token names a signing key that we do not have.
    #[error("unknown signing key")]
    UnknownSigner,
    /// The signature is not by the key that the token names.
    #[error("wrong signature")]
    WrongSignature,
    /// Issued by someone else.
    #[error("wrong issuer")]
    WrongIssuer,
    /// Issued for someone else.
    #[error("wrong audience")]
    WrongAudience,
    /// The token's time is over.
    #[error("expired token")]
    ExpiredToken,
    /// The token comes from the future.
    #[error("token issued in the future")]
    FutureToken,
    /// The token was revoked, alone or with all of its user's.
    #[error("revoked token")]
    RevokedToken,
    /// The token names a user that we do not have.
    #[error("unknown user")]
    UnknownUser,
    /// The user is disabled.
    #[error("disabled user")]
    DisabledUser,
    /// The tenant is disabled.
    #[error("disabled tenant")]
    DisabledTenant,
}

impl Reason {
    /// Whether another view of identities could lead to another answer.
    pub const fn needs_view(self) -> bool {
        match self {
            Self::TwoCredentials
            | Self::Empty
            | Self::NotBearer
            | Self::NotText
            | Self::TooLong
            | Self::Unrecognised
            | Self::MalformedKey
            | Self::MalformedToken
            | Self::WrongSignature
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::ExpiredToken
            | Self::FutureToken => false,
            Self::UnknownKey
            | Self::RevokedKey
            | Self::ExpiredKey
            | Self::UnknownSigner
            | Self::RevokedToken
            | Self::UnknownUser
            | Self::DisabledUser
            | Self::DisabledTenant => true,
        }
    }

    /// A stable word for logs, metrics and the ledger.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TwoCredentials => "two_credentials",
            Self::Empty => "empty",
            Self::NotBearer => "not_bearer",
            Self::NotText => "not_text",
            Self::TooLong => "too_long",
            Self::Unrecognised => "unrecognised",
            Self::MalformedKey => "malformed_key",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::ExpiredKey => "expired_key",
            Self::MalformedToken => "malformed_token",
            Self::UnknownSigner => "unknown_signer",
            Self::WrongSignature => "wrong_signature",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::ExpiredToken => "expired_token",
            Self::FutureToken => "future_token",
            Self::RevokedToken => "revoked_token",
            Self::UnknownUser => "unknown_user",
            Self::DisabledUser => "disabled_user",
            Self::DisabledTenant => "disabled_tenant",
        }
    }

    /// What the caller is told: what to do, never what it sent.
    pub const fn client_text(self) -> &'static str {
        match self {
            Self::TwoCredentials => {
                "Two different credentials were sent. Send one, in `x-api-key` or as \
                 `Authorization: Bearer`, or the same in both."
            }
            Self::Empty => {
                "The credential header is empty. Put your Tollgate key or token into `x-api-key` or \
                 `Authorization: Bearer`."
            }
            Self::NotBearer => {
                "This authorization scheme is not supported. Send `Authorization: Bearer` followed by your \
                 Tollgate key or token."
            }
            Self::NotText | Self::TooLong | Self::Unrecognised => {
                "The credential is neither a key nor a token of this gateway. Keys begin with `tg_live_`; \
                 keys of model providers do not belong here."
            }
            Self::MalformedKey => {
                "The API key is incomplete or mistyped: its checksum is wrong. Copy it again in full."
            }
            Self::UnknownKey => "The API key is not known. Ask your administrator for a new one.",
            Self::RevokedKey => "The API key was revoked. Ask your administrator for a new one.",
            Self::ExpiredKey => "The API key has expired. Ask your administrator for a new one.",
            Self::ExpiredToken => "The token has expired. Sign in again.",
            Self::RevokedToken => "The token was revoked. Sign in again.",
            Self::FutureToken => {
                "The token lies in the future. Check the clocks of the machines involved, then sign in again."
            }
            Self::MalformedToken
            | Self::UnknownSigner
            | Self::WrongSignature
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::UnknownUser => "The token is not valid at this gateway. Sign in again.",
            Self::DisabledUser => "This user is disabled. Ask your administrator.",
            Self::DisabledTenant => "This tenant is disabled. Ask the operator of this gateway.",
        }
    }
}
