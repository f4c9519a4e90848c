//! Errors of the Messages API: their types, statuses and envelope.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::raw::{Members, put_string};

/// The `error.type` of the Messages API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be served as it is.
    InvalidRequest,
    /// No credential, or a wrong one.
    Authentication,
    /// Credit or budget is used up.
    Billing,
    /// Known, but not allowed.
    Permission,
    /// No such model or path.
    NotFound,
    /// It took too long.
    Timeout,
    /// Another act stands in the way.
    Conflict,
    /// The body exceeds the limit.
    RequestTooLarge,
    /// Too many requests or tokens.
    RateLimit,
    /// It broke.
    Api,
    /// The upstream is at its capacity.
    Overloaded,
}

impl ErrorKind {
    const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::Timeout,
        Self::Conflict,
        Self::RequestTooLarge,
        Self::RateLimit,
        Self::Api,
        Self::Overloaded,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Timeout => "timeout_error",
            Self::Conflict => "conflict_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    /// The HTTP status that usually carries it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Timeout => 504,
            Self::Conflict => 409,
            Self::RequestTooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Overloaded => 529,
        }
    }

    /// The kind with this word on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Writes the error envelope; it is both the body of an error answer and the data of an `error` event.
pub fn put_envelope(out: &mut impl BufMut, kind: ErrorKind, message: &str, request_id: Option<&str>) {
    out.put_slice(br#"{"type":"error","error":{"type":""#);
    out.put_slice(kind.as_str().as_bytes());
    out.put_slice(br#"","message":"#);
    put_string(out, message);
    out.put_u8(b'}');
    if let Some(id) = request_id {
        out.put_slice(br#","request_id":"#);
        put_string(out, id);
    }
    out.put_u8(b'}');
}

/// The error envelope as a body.
pub fn envelope(kind: ErrorKind, message: &str, request_id: Option<&str>) -> Bytes {
    let mut body = BytesMut::with_capacity(96 + message.len());
    put_envelope(&mut body, kind, message, request_id);
    body.freeze()
}

/// Type and message of an error envelope; `None` where the text is none. An unknown type stays a word.
pub fn read_envelope(text: &str) -> Option<(String, String)> {
    let envelope = Members::read(text)?;
    if envelope.string("type")? != "error" {
        return None;
    }
    let error = envelope.members("error")?;
    let message = error.string("message").unwrap_or_default();
    Some((error.string("type")?.into_owned(), message.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_reads_back() {
        let body = envelope(ErrorKind::Overloaded, "a \"b\"\n", Some("req_1"));
        assert_eq!(
            body,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"a \"b\"\n"},"request_id":"req_1"}"#
        );
        let (kind, message) = read_envelope(std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(
            (ErrorKind::parse(&kind), message.as_str()),
            (Some(ErrorKind::Overloaded), "a \"b\"\n")
        );
        assert!(read_envelope(r#"{"error":{"type":"server_error","message":"x"}}"#).is_none());
    }

    #[test]
    fn every_kind_has_its_own_word() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::parse(kind.as_str()), Some(kind));
        }
    }
}
