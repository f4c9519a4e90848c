//! Acme's model server: Messages, one event a line, under a path of its own and with a proof of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use tollgate::dialect::splice::Splice;
use tollgate::provider::authorize::{Authorization, Authorizer, Lease, Unauthorized, Unsigned};
use tollgate::provider::declaration::Declaration;
use tollgate::provider::frames::{Frames, Misframed};
use tollgate::provider::registry::{Code, Declarations};
use tollgate::provider::{Ask, Edits, Misconfigured, Provider, Settings, Unfit};
use tollgate::types::secret::Secret;

/// The longest line that is taken, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

inventory::submit! { Declarations(include_str!("../provider.toml")) }
inventory::submit! { Code { label: "acme", endpoint: None, open } }

/// One of Acme's clusters.
#[derive(Debug)]
struct Acme {
    base: String,
    authorization: Authorization,
}

fn open(_: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
    let key = settings.key.clone();
    let key = key.ok_or_else(|| Misconfigured("api_key_secret is missing: Acme wants a key".to_owned()))?;
    let cluster = settings.options.word("cluster")?;
    let authorizer = Desk {
        key: Arc::new(key),
        issued: AtomicU64::new(0),
    };
    Ok(Box::new(Acme {
        base: format!("{}/clusters/{cluster}", settings.endpoint.base_path()),
        authorization: Authorization::Leased(Box::new(authorizer)),
    }))
}

impl Provider for Acme {
    fn target(&self, ask: &Ask<'_>) -> String {
        let kind = if ask.stream { "lines" } else { "whole" };
        format!("{}/{}/{kind}", self.base, ask.operation.as_str())
    }

    /// Acme wants to know which edition of its API is meant.
    fn edits(&self, _: &Ask<'_>, body: &[u8]) -> Result<Edits, Unfit> {
        let brace = body.iter().position(|byte| *byte == b'{');
        let after = brace.ok_or_else(|| Unfit("body: an object is wanted".to_owned()))? + 1;
        let edition = Splice {
            range: after..after,
            with: Bytes::from_static(br#""acme_edition":3,"#),
        };
        Ok(vec![edition].into())
    }

    fn headers(&self, ask: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let model = HeaderValue::try_from(ask.model.as_str()).ok();
        vec![
            (HeaderName::from_static("x-acme-model"), model),
            (HeaderName::from_static("anthropic-version"), None),
        ]
    }

    fn frames(&self, content_type: &str) -> Option<Box<dyn Frames>> {
        let is_lines = content_type.starts_with("application/jsonl");
        is_lines.then(|| Box::new(Lines::default()) as Box<dyn Frames>)
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

/// Hands out credentials. A real one would fetch a token here, keep it, and renew it before it ends.
#[derive(Debug)]
struct Desk {
    key: Arc<Secret<String>>,
    issued: AtomicU64,
}

#[async_trait]
impl Authorizer for Desk {
    async fn lease(&self) -> Result<Arc<dyn Lease>, Unauthorized> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let key = Arc::clone(&self.key);
        Ok(Arc::new(Numbered { key, number }))
    }
}

/// A credential for one request.
#[derive(Debug)]
struct Numbered {
    key: Arc<Secret<String>>,
    number: u64,
}

impl Lease for Numbered {
    /// The proof names the request by its number, target and length. It shows what can be signed; it is no
    /// cryptography.
    fn sign(&self, request: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Unauthorized> {
        let key = self.key.expose();
        let length = request.body.len();
        let proof = format!("{key};{};{length};{}", self.number, request.target);
        let mut proof = HeaderValue::try_from(proof)
            .map_err(|_| Unauthorized("the key has characters that no header can carry".to_owned()))?;
        proof.set_sensitive(true);
        Ok(vec![(HeaderName::from_static("x-acme-proof"), proof)])
    }
}

/// Lines of JSON, each an event that names its type.
#[derive(Debug, Default)]
struct Lines {
    begun: BytesMut,
}

impl Frames for Lines {
    fn push(&mut self, chunk: &Bytes) -> Result<Bytes, Misframed> {
        let mut events = BytesMut::new();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.len() > LINE_BYTES_MAX {
                return Err(Misframed("a line is longer than a mebibyte"));
            }
            if let Some(line) = self.begun.strip_suffix(b"\n") {
                // Messages name an event by what its data says, and clients go by that name.
                events.extend_from_slice(b"event: ");
                events.extend_from_slice(kind(line).ok_or(Misframed("a line names no type"))?);
                events.extend_from_slice(b"\ndata: ");
                events.extend_from_slice(line);
                events.extend_from_slice(b"\n\n");
                self.begun.clear();
            }
        }
        Ok(events.freeze())
    }

    fn is_at_border(&self) -> bool {
        self.begun.is_empty()
    }
}

/// The type of an event; Acme writes it first.
fn kind(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(br#"{"type":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    rest.get(..end)
}
