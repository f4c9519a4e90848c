//! The one credential that the headers present.

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, HeaderName};

use crate::pipeline::identify::reason::Reason;

/// Clients of the Anthropic dialect send keys in this header.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The authentication scheme of RFC 6750, section 2.1.
const BEARER: &str = "bearer";

/// Longer than any key or token of ours, short enough to hash without a thought.
pub const CREDENTIAL_BYTES_MAX: usize = 4_096;

/// The credential of these headers, if they present one.
///
/// Every value of `x-api-key` and `Authorization` counts. All must say the same: whichever a proxy on the way
/// or we look at, it is the same caller. A header without a value says nothing beside one with a value.
pub fn presented(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut found: Option<&str> = None;
    let mut empty = false;
    let keys = headers.get_all(X_API_KEY).iter().map(text);
    let bearers = headers
        .get_all(AUTHORIZATION)
        .iter()
        .map(|value| bearer(text(value)?));
    for credential in keys.chain(bearers) {
        let credential = credential?;
        match found {
            _ if credential.is_empty() => empty = true,
            None => found = Some(credential),
            Some(other) if other == credential => {}
            Some(_) => return Err(Reason::TwoCredentials),
        }
    }
    if found.is_none() && empty {
        return Err(Reason::Empty);
    }
    Ok(found)
}

fn text(value: &HeaderValue) -> Result<&str, Reason> {
    if value.len() > CREDENTIAL_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    let text = value.to_str().map_err(|_| Reason::NotText)?;
    Ok(text.trim_matches([' ', '\t']))
}

/// What follows the scheme's name, which is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &str) -> Result<&str, Reason> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if value.is_empty() || scheme.eq_ignore_ascii_case(BEARER) {
        Ok(rest.trim_matches([' ', '\t']))
    } else {
        Err(Reason::NotBearer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &[u8])], expected: Result<Option<&str>, Reason>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(presented(&map), expected, "{headers:?}");
    }

    #[test]
    fn finds_the_one_credential() {
        check(&[], Ok(None));
        check(&[("x-api-key", b"a")], Ok(Some("a")));
        check(&[("x-api-key", b" a\t")], Ok(Some("a")));
        check(&[("authorization", b"Bearer a")], Ok(Some("a")));
        check(&[("authorization", b"bEARER   a ")], Ok(Some("a")));
        check(
            &[("authorization", b"Bearer a"), ("x-api-key", b"a")],
            Ok(Some("a")),
        );
        check(&[("x-api-key", b"a"), ("x-api-key", b"a")], Ok(Some("a")));
        check(
            &[("x-api-key", b""), ("authorization", b"Bearer a")],
            Ok(Some("a")),
        );
        check(
            &[("x-api-key", b"a"), ("authorization", b"Bearer ")],
            Ok(Some("a")),
        );
        check(&[("x-api-key", b"a"), ("authorization", b"")], Ok(Some("a")));
    }

    #[test]
    fn refuses_what_is_not_one_credential() {
        check(&[("x-api-key", b"")], Err(Reason::Empty));
        check(&[("authorization", b"")], Err(Reason::Empty));
        check(&[("authorization", b"Bearer")], Err(Reason::Empty));
        check(&[("authorization", b"Bearer  ")], Err(Reason::Empty));
        check(
            &[("x-api-key", b"a"), ("authorization", b"Bearer b")],
            Err(Reason::TwoCredentials),
        );
        check(
            &[("x-api-key", b"a"), ("x-api-key", b"b")],
            Err(Reason::TwoCredentials),
        );
        check(
            &[("authorization", b"Bearer a"), ("authorization", b"Bearer b")],
            Err(Reason::TwoCredentials),
        );
        check(&[("authorization", b"Basic YTpi")], Err(Reason::NotBearer));
        check(
            &[("authorization", b"Basic YTpi"), ("x-api-key", b"a")],
            Err(Reason::NotBearer),
        );
        check(&[("authorization", b"a")], Err(Reason::NotBearer));
        check(&[("authorization", b"Bearera")], Err(Reason::NotBearer));
        check(&[("x-api-key", b"\xc3\xa9")], Err(Reason::NotText));
        check(
            &[("x-api-key", &[b'a'; CREDENTIAL_BYTES_MAX + 1])],
            Err(Reason::TooLong),
        );
    }
}
