//! AWS Signature Version 4, by the field's own crate.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue};

use crate::provider::authorize::{Authorizer, Lease, Unauthorized, Unsigned};
use crate::provider::lending::aws::{Keys, Sign};
use crate::types::clock::Clock;
use crate::types::secret::Secret;

/// The name of the service in signatures.
const SERVICE: &str = "bedrock";

/// Keys of an account, static or lent.
pub(super) struct AccessKey(Credentials);

impl AccessKey {
    /// The key with this id. A secret of temporary keys is followed by a colon and the session token; the
    /// secret itself never has one.
    pub(super) fn read(id: &str, secret: &Secret<String>) -> Self {
        let written = secret.expose();
        let (secret, token) = match written.split_once(':') {
            Some((secret, token)) => (secret, Some(token.to_owned())),
            None => (written.as_str(), None),
        };
        Self(Credentials::new(id, secret, token, None, "configured"))
    }

    /// Temporary keys of a role.
    fn lent(keys: &Keys) -> Self {
        let secret = keys.secret.expose();
        let session = keys.session.expose().clone();
        Self(Credentials::new(&keys.id, secret, Some(session), None, "lent"))
    }
}

/// Signs requests to the Bedrock of one region.
#[derive(Clone)]
pub(super) struct Signing(Arc<Signer>);

struct Signer {
    region: Box<str>,
    key: AccessKey,
    clock: Arc<dyn Clock>,
}

impl Signing {
    pub(super) fn new(region: &str, key: AccessKey, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Signer {
            region: region.into(),
            key,
            clock,
        }))
    }

    /// What makes temporary keys sign.
    pub(super) fn by_lent_keys(region: &str, clock: &Arc<dyn Clock>) -> Sign {
        let region = Box::<str>::from(region);
        let clock = Arc::clone(clock);
        Arc::new(move |keys| {
            Arc::new(Signer {
                region: region.clone(),
                key: AccessKey::lent(&keys),
                clock: Arc::clone(&clock),
            })
        })
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("region", &self.0.region).finish()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish()
    }
}

#[async_trait]
impl Authorizer for Signing {
    async fn lease(&self) -> Result<Arc<dyn Lease>, Unauthorized> {
        Ok(Arc::clone(&self.0) as Arc<dyn Lease>)
    }
}

impl Lease for Signer {
    fn sign(&self, request: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Unauthorized> {
        let failed = |what: &str| Unauthorized(format!("the request to Bedrock could not be signed: {what}"));
        // The path is signed as it is sent, each segment encoded once more.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Double;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let now = UNIX_EPOCH + Duration::from_millis(self.clock.now().unix_millis());
        let identity = self.key.0.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|_| failed("its parameters are incomplete"))?;
        // What proxies may change is not signed.
        let signed = [HOST, CONTENT_TYPE];
        let headers = signed.iter().filter_map(|name| {
            let value = request.headers.get(name)?.to_str().ok()?;
            Some((name.as_str(), value))
        });
        let uri = format!("https://{}{}", request.authority, request.target);
        let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(request.body))
            .map_err(|_| failed("its head cannot be read"))?;
        let (instructions, _) = sign(signable, &params.into())
            .map_err(|_| failed("the credential cannot sign"))?
            .into_parts();
        let (headers, _) = instructions.into_parts();
        let proof = headers.into_iter().map(|header| {
            let mut value =
                HeaderValue::from_str(header.value()).map_err(|_| failed("its proof is no header"))?;
            value.set_sensitive(true);
            Ok((HeaderName::from_static(header.name()), value))
        });
        proof.collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::types::clock::Timestamp;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_micros(1_795_262_400_000_000)
        }
    }

    const BODY: &[u8] = br#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;

    async fn proof(target: &str, secret: &str) -> Vec<(String, String)> {
        let secret = Secret::new(secret.to_owned());
        let key = AccessKey::read("AKIDEXAMPLE", &secret);
        let signing = Signing::new("us-east-1", key, Arc::new(Noon));
        assert!(!format!("{signing:?}").contains("AKID"));
        let mut headers = HeaderMap::new();
        let host = "bedrock-runtime.us-east-1.amazonaws.com";
        headers.insert(HOST, HeaderValue::from_static(host));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let lease = signing.lease().await.unwrap();
        let unsigned = Unsigned {
            authority: host,
            target,
            headers: &headers,
            body: BODY,
        };
        let proof = lease.sign(&unsigned).unwrap();
        assert!(proof.iter().all(|(_, value)| value.is_sensitive()));
        proof
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    /// Known answers, computed by botocore.
    #[tokio::test]
    async fn signatures_are_those_that_others_make() {
        let model = "/model/anthropic.claude-sonnet-4-5-20250929-v1";
        for (target, signature) in [
            (
                "%3A0/invoke",
                "04de8746be50cd55a8311ef8b3820377a14c2aa3533e7549ff6c9ad56015f420",
            ),
            (
                ":0/invoke",
                "d64346e61c791de0c20ff8b6ce37539675fa33cbff629b1a4fe6be3b22a8c11c",
            ),
        ] {
            let proof = proof(&format!("{model}{target}"), "not-a-real-secret").await;
            assert_eq!(proof[0], ("x-amz-date".to_owned(), "20261121T120000Z".to_owned()));
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
            );
            assert_eq!(proof[1], ("authorization".to_owned(), expected));
        }
    }

    #[tokio::test]
    async fn a_session_token_is_sent_and_signed() {
        let proof = proof("/model/m/invoke", "not-a-real-secret:a-token").await;
        let token = ("x-amz-security-token".to_owned(), "a-token".to_owned());
        assert!(proof.contains(&token), "{proof:?}");
        let authorization = proof.iter().find(|(name, _)| name == "authorization").unwrap();
        assert!(
            authorization.1.contains("x-amz-date;x-amz-security-token"),
            "{authorization:?}"
        );
    }
}
