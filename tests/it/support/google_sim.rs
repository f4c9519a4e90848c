//! Those who lend access tokens in Google Cloud: the token endpoint of service accounts, the security token service and
//! the credentials of service accounts, the metadata service of a machine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tollgate::tls::pem;
use tollgate::types::clock::{Clock as _, SystemClock};

use crate::support::form::Form;
use crate::support::upstream::{self, Received, Script, Upstream};

/// The key of a service account, made for these tests.
pub const KEY: &str = include_str!("../../corpus/keys/service-account.pem");

/// How every token that is lent begins.
pub const TOKEN: &str = "ya29.lent-canary-";

/// What a service says when it refuses; never to be repeated.
pub const COMPLAINT: &str = "google-complaint-canary-77b1";

/// The token of another issuer; never to be written down.
pub const SUBJECT: &str = "eyJ.subject-canary-1d2e.sig";

const ACCOUNT: &str = "gateway@acme.iam.gserviceaccount.com";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/oidc";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The file of a service account's key, whose tokens are had here.
pub fn service_account(endpoint: &str) -> Value {
    json!({"type": "service_account", "project_id": "acme", "private_key_id": "key-1", "private_key": KEY,
        "client_email": ACCOUNT, "client_id": "1", "token_uri": format!("{endpoint}/token"),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth"})
}

/// The configuration of a federated identity, whose subject token is in this file.
pub fn external_account(endpoint: &str, source: &Value, acts: bool) -> Value {
    let mut written = json!({"type": "external_account", "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{endpoint}/v1/token"),
        "credential_source": source});
    if acts {
        let path = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
        written["service_account_impersonation_url"] = json!(format!("{endpoint}{path}"));
    }
    written
}

/// Starts all of them at one place. Tokens end after so many seconds.
pub async fn start(lifetime_s: u64) -> Upstream {
    Upstream::start(move |got| respond(got, lifetime_s)).await
}

fn respond(got: &Received, lifetime_s: u64) -> Script {
    let refused = || {
        upstream::json(
            400,
            &json!({"error": "invalid_grant", "error_description": COMPLAINT}),
        )
    };
    let granted = |name: &str| {
        let token = format!("{TOKEN}{name}");
        upstream::json(
            200,
            &json!({"access_token": token, "expires_in": lifetime_s, "token_type": "Bearer"}),
        )
    };
    let form = Form::of(got);
    match (got.method(), got.target()) {
        ("POST", "/token") if is_asserted(&form, got) => granted("service-account"),
        ("POST", "/v1/token") if is_exchange(&form) => granted("federated"),
        ("POST", path) if path.ends_with(&format!("/serviceAccounts/{ACCOUNT}:generateAccessToken")) => {
            let bearer = got.head.header("authorization");
            let wanted = json!({"scope": [SCOPE], "lifetime": "3600s"});
            if bearer != Some(format!("Bearer {TOKEN}federated").as_str()) || got.json() != wanted {
                return refused();
            }
            let ends = SystemClock.now().plus(std::time::Duration::from_secs(lifetime_s));
            let token = format!("{TOKEN}acting");
            upstream::json(
                200,
                &json!({"accessToken": token, "expireTime": ends.to_string()}),
            )
        }
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token")
            if got.head.header("metadata-flavor") == Some("Google") =>
        {
            granted("machine")
        }
        _ => refused(),
    }
}

/// Whether a request carries an assertion that the account's key signed just now, for this endpoint (RFC 7523, 3).
fn is_asserted(form: &Form, got: &Received) -> bool {
    let der = pem::private_key(KEY).expect("a key");
    let key = RsaKeyPair::from_pkcs8(der.expose()).expect("an RSA key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref().to_vec());
    let assertion = form.get("assertion");
    let Some((signed, signature)) = assertion.rsplit_once('.') else {
        return false;
    };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    if public.verify(signed.as_bytes(), &bytes(signature)).is_err() {
        return false;
    }
    let (header, claims) = signed.split_once('.').expect("two parts are signed");
    let read = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).expect("JSON");
    let (header, claims) = (read(header), read(claims));
    let now = SystemClock.now().unix_seconds();
    let (issued, ends) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    let host = got.head.header("host").unwrap_or_default();
    form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        && header == json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
        && claims["iss"] == ACCOUNT
        && claims["scope"] == SCOPE
        && claims["aud"] == format!("http://{host}/token")
        && (now - 60..=now).contains(&issued)
        && (now..=issued + 3_600).contains(&ends)
}

fn is_exchange(form: &Form) -> bool {
    form.get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
        && form.get("audience") == AUDIENCE
        && form.get("scope") == SCOPE
        && form.get("requested_token_type") == "urn:ietf:params:oauth:token-type:access_token"
        && form.get("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt"
        && form.get("subject_token") == SUBJECT
}
