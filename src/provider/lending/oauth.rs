//! Access tokens: how token endpoints are asked for them, and how they authorise requests.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use crate::egress::exchange::Asked;
use crate::provider::authorize::{Lease, Scheme, Unauthorized, Unsigned};
use crate::provider::lending::cache::Lent;
use crate::provider::lending::senseless;
use crate::provider::path::segment;
use crate::types::clock::Timestamp;
use crate::types::destination::Destination;
use crate::types::secret::Secret;

/// A token as the header that carries it (RFC 6750, 2.1).
#[derive(Debug)]
struct Bearer(HeaderValue);

impl Lease for Bearer {
    fn sign(&self, _: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Unauthorized> {
        Ok(vec![(AUTHORIZATION, self.0.clone())])
    }
}

/// A token that ends then.
pub(super) fn lent(party: &str, token: &Secret<String>, ends: Timestamp) -> Result<Lent, Unauthorized> {
    let (_, header) = Scheme::Bearer.header(token).map_err(|_| senseless(party))?;
    Ok(Lent {
        lease: std::sync::Arc::new(Bearer(header)),
        ends,
    })
}

/// An answer with a token (RFC 6749, 5.1). Azure writes numbers as text, and on its application platform the moment of
/// the end instead of the time until then.
#[derive(Deserialize)]
struct Written {
    access_token: String,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
}

/// A number, or a text that is one.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Number(i64);

impl TryFrom<serde_json::Value> for Number {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        let read = value.as_i64();
        let read = read.or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        read.map(Self).ok_or("a number of seconds is wanted")
    }
}

/// Reads the token in an answer that came now, and when it ends.
pub(super) fn token(
    party: &str,
    body: &Secret<Vec<u8>>,
    now: Timestamp,
) -> Result<(Secret<String>, Timestamp), Unauthorized> {
    let written: Written = serde_json::from_slice(body.expose()).map_err(|_| senseless(party))?;
    let token = Secret::new(written.access_token);
    let ends = match (written.expires_in, written.expires_on) {
        (Some(Number(seconds)), _) => {
            now.plus(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        }
        (None, Some(Number(moment))) => Timestamp::from_unix_micros(moment.saturating_mul(1_000_000)),
        (None, None) => return Err(senseless(party)),
    };
    Ok((token, ends))
}

/// A form for a token endpoint, whose path is the destination's own and `more`.
pub(super) fn form(to: &Destination, more: &str, fields: &[(&str, &str)]) -> Asked {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", segment(value, b"")))
        .collect();
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    Asked {
        method: Method::POST,
        target: format!("{}{more}", to.base_path()),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, form_type)]),
        body: Secret::new(fields.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_when_their_issuers_say_so_in_any_of_their_ways() {
        let now = Timestamp::from_unix_micros(1_000_000_000);
        let check = |answer: &str, ends: i64| {
            let body = Secret::new(answer.as_bytes().to_vec());
            let (token, at) = token("it", &body, now).unwrap();
            assert_eq!(
                (token.expose().as_str(), at.unix_seconds()),
                ("t", ends),
                "{answer}"
            );
        };
        check(
            r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#,
            4_599,
        );
        check(
            r#"{"access_token":"t","expires_in":"86399","expires_on":"1"}"#,
            87_399,
        );
        check(
            r#"{"access_token":"t","expires_on":"5000","resource":"r"}"#,
            5_000,
        );
        for bad in [
            r#"{"access_token":"canary"}"#,
            r#"{"access_token":"canary","expires_in":"soon"}"#,
            r#"{"error":"canary"}"#,
        ] {
            let body = Secret::new(bad.as_bytes().to_vec());
            let error = token("it", &body, now).unwrap_err().0;
            assert!(!error.contains("canary"), "{error}");
        }
        let unfit = lent("it", &Secret::new("a\nb".to_owned()), now);
        assert!(unfit.is_err());
    }
}
