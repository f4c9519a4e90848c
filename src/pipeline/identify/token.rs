//! Tokens: short-lived JWTs (RFC 7519) that we sign with Ed25519 (RFC 8037) and verify ourselves.
//!
//! One algorithm, one audience, one issuer. The header chooses among our keys by `kid` and nothing else: keys
//! or links in it (`jwk`, `jku`, `x5u`) are not read, critical extensions (`crit`) are refused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::pipeline::identify::reason::Reason;
use crate::pipeline::identify::signing::SigningKey;
use crate::pipeline::identify::snapshot::Snapshot;
use crate::pipeline::identify::verified::Verified;
use crate::pipeline::identify::{Outcome, Scheme};
use crate::types::clock::{Clock, Timestamp};
use crate::types::digest::Sha256;
use crate::types::entropy::Entropy;
use crate::types::ids::{SessionId, SigningKeyId, TenantId, TokenId, UserId};
use crate::types::principal::Credential;
use crate::types::secret::Secret;

/// Whom our tokens are for.
pub const AUDIENCE: &str = "tollgate";

/// How long a token lives unless said otherwise.
pub const TTL_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// How long a token may live at most.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How far ahead of ours the clock of the replica that issued a token may be. An expiry gets no leeway: a
/// token that is told to live a minute lives a minute.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The claims as they stand in the token.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    aud: String,
    sub: UserId,
    tid: TenantId,
    sid: SessionId,
    jti: TokenId,
    iat: i64,
    exp: i64,
}

/// What a token says, once its signature, issuer and audience are verified.
#[derive(Debug)]
pub struct Claims {
    /// The key that signed it.
    pub signer: SigningKeyId,
    /// Its own id.
    pub id: TokenId,
    /// Whose token it is.
    pub user: UserId,
    /// The tenant of that user.
    pub tenant: TenantId,
    /// What the requests of one sign-in share.
    pub session: SessionId,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

/// The public half of a signing key.
#[derive(Clone)]
pub struct PublicKey {
    bytes: [u8; 32],
    decoding: DecodingKey,
}

impl PublicKey {
    /// The Ed25519 public key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let decoding = DecodingKey::from_ed_der(&bytes);
        Self { bytes, decoding }
    }

    /// The key as a JSON Web Key names it: `x`, base64url without padding (RFC 8037, section 2).
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.x())
    }
}

/// Issues tokens.
pub struct TokenIssuer {
    issuer: Box<str>,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// For whom a token is issued.
#[derive(Clone, Debug)]
pub struct TokenSubject {
    /// The user.
    pub user: UserId,
    /// The tenant of the user.
    pub tenant: TenantId,
    /// The user's `tokens_valid_after`, so that the new token is not void at once.
    pub tokens_valid_after: Option<Timestamp>,
}

/// A new token, in the one moment in which its text is known.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub text: Secret<String>,
    /// Its id.
    pub id: TokenId,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The lifetime is zero or exceeds the limit.
    #[error("a token may live from one second to {} hours", TTL_MAX.as_secs() / 3_600)]
    Lifetime,
    /// The signature could not be made.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl TokenIssuer {
    /// Issues in the name of this public URL, with this key.
    pub fn new(issuer: &str, key: SigningKey, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            issuer: issuer.into(),
            key,
            clock,
            entropy,
        }
    }

    /// Issues a token that begins a session of its own.
    pub fn issue(&self, subject: &TokenSubject, ttl: Duration) -> Result<IssuedToken, IssueError> {
        if ttl < Duration::from_secs(1) || ttl > TTL_MAX {
            return Err(IssueError::Lifetime);
        }
        let now = self.clock.now();
        let id = TokenId::generate(now, &*self.entropy);
        let valid_after = subject
            .tokens_valid_after
            .map_or(i64::MIN, Timestamp::unix_seconds);
        let issued_at = now.unix_seconds().max(valid_after);
        let expires_at = issued_at.saturating_add_unsigned(ttl.as_secs());
        let claims = WireClaims {
            iss: self.issuer.to_string(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user,
            tid: subject.tenant,
            sid: SessionId::new(TokenId::generate(now, &*self.entropy).to_string()),
            jti: id,
            iat: issued_at,
            exp: expires_at,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key.id().to_string());
        let text = jsonwebtoken::encode(&header, &claims, self.key.encoding()).map_err(IssueError::Sign)?;
        Ok(IssuedToken {
            text: Secret::new(text),
            id,
            expires_at: at_second(expires_at),
        })
    }
}

/// The scheme of tokens.
#[derive(Debug)]
pub struct TokenScheme {
    validation: Validation,
    verified: Verified,
}

impl TokenScheme {
    /// Accepts tokens of this issuer, our public URL.
    pub fn new(issuer: &str) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The crate would ask the system's clock; `judge` asks ours.
        validation.validate_exp = false;
        Self {
            validation,
            verified: Verified::default(),
        }
    }

    /// The claims of the token, if we signed it.
    fn verify(&self, text: &str, snapshot: &Snapshot, now: Timestamp) -> Result<Claims, Fault> {
        let header = jsonwebtoken::decode_header(text).map_err(|_| Reason::MalformedToken)?;
        if header.alg != Algorithm::EdDSA || header.crit.is_some() {
            return Err(Reason::MalformedToken.into());
        }
        let signer: SigningKeyId = header
            .kid
            .and_then(|kid| kid.parse().ok())
            .ok_or(Reason::MalformedToken)?;
        let key = snapshot.signer(signer, now).ok_or(Fault::UnknownSigner)?;
        let claims = jsonwebtoken::decode::<WireClaims>(text, &key.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => Reason::WrongSignature,
                ErrorKind::InvalidIssuer => Reason::WrongIssuer,
                ErrorKind::InvalidAudience => Reason::WrongAudience,
                _ => Reason::MalformedToken,
            })?
            .claims;
        Ok(Claims {
            signer,
            id: claims.jti,
            user: claims.sub,
            tenant: claims.tid,
            session: claims.sid,
            issued_at: at_second(claims.iat),
            expires_at: at_second(claims.exp),
        })
    }

    /// The claims of the token, from memory where it was verified before.
    fn claims(&self, text: &str, snapshot: &Snapshot, now: Timestamp) -> Result<Arc<Claims>, Fault> {
        let digest = Sha256::of(text.as_bytes());
        if let Some(claims) = self.verified.find(&digest) {
            if claims.expires_at <= now {
                self.verified.forget(&digest);
            }
            return Ok(claims);
        }
        let claims = Arc::new(self.verify(text, snapshot, now)?);
        if in_time(&claims, now).is_ok() {
            self.verified.remember(digest, Arc::clone(&claims));
        }
        Ok(claims)
    }
}

/// Why a token's claims cannot be believed.
enum Fault {
    Reason(Reason),
    UnknownSigner,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl Scheme for TokenScheme {
    fn judge(&self, credential: &str, snapshot: &Snapshot, now: Timestamp) -> Outcome {
        if !looks_like_a_token(credential) {
            return Outcome::NotPresented;
        }
        let claims = match self.claims(credential, snapshot, now) {
            Ok(claims) => claims,
            Err(Fault::Reason(reason)) => return Outcome::Rejected(reason),
            Err(Fault::UnknownSigner) => return Outcome::NotInView(Reason::UnknownSigner),
        };
        if let Err(reason) = in_time(&claims, now) {
            return Outcome::Rejected(reason);
        }
        // The rest is asked for remembered tokens too: the view may have changed since.
        if snapshot.signer(claims.signer, now).is_none() {
            return Outcome::NotInView(Reason::UnknownSigner);
        }
        let Some(holder) = snapshot.holder(claims.user) else {
            return Outcome::NotInView(Reason::UnknownUser);
        };
        if holder.tenant() != claims.tenant {
            return Outcome::Rejected(Reason::UnknownUser);
        }
        if snapshot.is_revoked(claims.id) || holder.voided(claims.issued_at) {
            return Outcome::Rejected(Reason::RevokedToken);
        }
        match holder.principal(Credential::Token(claims.id), claims.session.clone()) {
            Ok(principal) => Outcome::Accepted(principal),
            Err(reason) => Outcome::Rejected(reason),
        }
    }
}

/// Three parts, the first of which begins as every JSON object in base64 does.
fn looks_like_a_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn in_time(claims: &Claims, now: Timestamp) -> Result<(), Reason> {
    if claims.issued_at > now.plus(LEEWAY) {
        return Err(Reason::FutureToken);
    }
    if claims.expires_at <= now {
        return Err(Reason::ExpiredToken);
    }
    // We never issue such; a key that did was misused.
    if claims.expires_at > claims.issued_at.plus(TTL_MAX) || claims.expires_at <= claims.issued_at {
        return Err(Reason::MalformedToken);
    }
    Ok(())
}

fn at_second(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds.saturating_mul(1_000_000))
}
