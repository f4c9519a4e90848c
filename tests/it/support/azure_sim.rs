//! Those who lend access tokens in Azure: Microsoft Entra, the identity endpoint of applications, the metadata service
//! of a machine.

use serde_json::json;
use tollgate::types::clock::{Clock as _, SystemClock};

use crate::support::form::Form;
use crate::support::upstream::{self, Received, Script, Upstream};

/// The tenant of the application.
pub const TENANT: &str = "72f988bf-0000-0000-0000-2d7cd011db47";

/// The application.
pub const CLIENT: &str = "11111111-2222-3333-4444-555555555555";

/// Its secret, with characters that a form must encode.
pub const SECRET: &str = "s8~client+canary/&=9";

/// The token of a federated workload; never to be written down.
pub const ASSERTION: &str = "eyJ.assertion-canary-c0de.sig";

/// What proves an application to the endpoint beside it.
pub const HEADER: &str = "identity-header-canary-31";

/// How every token that is lent begins; behind it stands what it is for.
pub const TOKEN: &str = "entra-lent-canary-";

/// What a service says when it refuses; never to be repeated.
pub const COMPLAINT: &str = "AADSTS7000215-complaint-canary";

/// Starts all of them at one place.
pub async fn start() -> Upstream {
    Upstream::start(respond).await
}

fn respond(got: &Received) -> Script {
    let form = Form::of(got);
    let token_path = format!("/{TENANT}/oauth2/v2.0/token");
    if got.method() == "POST" && got.target() == token_path && is_application(&form) {
        let token = format!("{TOKEN}{}", form.get("scope").trim_end_matches("/.default"));
        let body = json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token});
        return upstream::json(200, &body);
    }
    let query = got.target().split_once('?').map_or("", |(_, query)| query);
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let token = format!("{TOKEN}{}", field("resource").unwrap_or_default());
    let ends = SystemClock.now().unix_seconds() + 86_000;
    let header = |name: &str| got.head.header(name);
    match (got.method(), got.path()) {
        ("GET", "/metadata/identity/oauth2/token")
            if header("metadata") == Some("true") && field("api-version") == Some("2018-02-01") =>
        {
            let body = json!({"access_token": token, "client_id": field("client_id"), "expires_in": "85900",
                "expires_on": ends.to_string(), "token_type": "Bearer"});
            upstream::json(200, &body)
        }
        ("GET", "/msi/token")
            if header("x-identity-header") == Some(HEADER) && field("api-version") == Some("2019-08-01") =>
        {
            let body = json!({"access_token": token, "expires_on": ends.to_string(), "token_type": "Bearer"});
            upstream::json(200, &body)
        }
        _ => upstream::json(
            401,
            &json!({"error": "invalid_client", "error_description": COMPLAINT}),
        ),
    }
}

fn is_application(form: &Form) -> bool {
    let by_secret = form.get("client_secret") == SECRET;
    let by_assertion = form.get("client_assertion") == ASSERTION
        && form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    form.get("grant_type") == "client_credentials"
        && form.get("client_id") == CLIENT
        && form.get("scope").ends_with("/.default")
        && (by_secret || by_assertion)
}
