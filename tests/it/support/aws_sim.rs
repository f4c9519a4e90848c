//! Those who lend keys of roles in AWS: the security token service, the agent of a container, the metadata service of
//! an instance. Each refuses what the real one refuses, and numbers the keys that it lends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tollgate::types::clock::{Clock as _, SystemClock};

use crate::support::form::Form;
use crate::support::upstream::{self, Received, Script, Step, Upstream};

/// The role that is lent.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/gateway+prod";

/// What proves who the workload is; never to be written down.
pub const IDENTITY: &str = "eyJ.identity-canary-91c4.sig";

/// What a service says when it refuses; never to be repeated.
pub const COMPLAINT: &str = "complaint-canary-30d7";

/// How every secret that is lent begins.
pub const LENT: &str = "lent-canary-";

/// The secret of the keys with this id.
pub fn secret_of(id: &str) -> String {
    format!("{LENT}{id}/secret+1=")
}

/// The session of the keys with this id.
pub fn session_of(id: &str) -> String {
    format!("{LENT}{id}/session+1==")
}

/// A lender whose keys end after so many seconds.
#[derive(Clone)]
pub struct Lender {
    lifetime: Duration,
    lent: Arc<AtomicU32>,
}

impl Lender {
    /// One that has lent nothing yet.
    pub fn new(lifetime_s: u64) -> Self {
        Self {
            lifetime: Duration::from_secs(lifetime_s),
            lent: Arc::default(),
        }
    }

    /// The next id of keys, and when they end, to the second.
    fn next(&self) -> (String, String) {
        let number = self.lent.fetch_add(1, Ordering::SeqCst) + 1;
        let ends = SystemClock.now().plus(self.lifetime).to_string();
        (format!("ASIA{number:016}"), format!("{}Z", &ends[..19]))
    }

    /// The security token service.
    pub async fn token_service(self) -> Upstream {
        Upstream::start(move |got| self.assume(got)).await
    }

    /// What the security token service says.
    pub fn assume(&self, got: &Received) -> Script {
        let xml =
            |status, body: &str| upstream::answer(status, &[("content-type", "text/xml")], body.as_bytes());
        let form = Form::of(got);
        let known = got.method() == "POST"
            && got.target() == "/"
            && form.get("Action") == "AssumeRoleWithWebIdentity"
            && form.get("Version") == "2011-06-15"
            && form.get("RoleArn") == ROLE
            && !form.get("RoleSessionName").is_empty();
        if !known || form.get("WebIdentityToken") != IDENTITY {
            let told = format!(
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{COMPLAINT} {}</Message></Error></ErrorResponse>",
                form.get("WebIdentityToken")
            );
            return xml(403, &told);
        }
        let (id, ends) = self.next();
        let (secret, session) = (secret_of(&id), session_of(&id));
        xml(
            200,
            &format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>sub</SubjectFromWebIdentityToken>\
                 <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
                 <SessionToken>{session}</SessionToken><Expiration>{ends}</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            ),
        )
    }

    /// The agent of a container, which wants the proof [`IDENTITY`].
    pub async fn agent(self) -> Upstream {
        Upstream::start(move |got| {
            let proven = got.head.header("authorization") == Some(IDENTITY);
            match got.target() {
                "/v1/credentials" if proven && got.method() == "GET" => self.keys(),
                _ => upstream::answer(401, &[], COMPLAINT.as_bytes()),
            }
        })
        .await
    }

    /// The metadata service of an instance, version 2 only.
    pub async fn metadata(self) -> Upstream {
        Upstream::start(move |got| {
            const SESSION: &str = "session-of-the-metadata-service==";
            let text = |status, body: &str| {
                upstream::answer(status, &[("content-type", "text/plain")], body.as_bytes())
            };
            let roles = "/latest/meta-data/iam/security-credentials/";
            if (got.method(), got.target()) == ("PUT", "/latest/api/token") {
                let ttl = got.head.header("x-aws-ec2-metadata-token-ttl-seconds");
                let ttl = ttl.and_then(|ttl| ttl.parse::<u32>().ok());
                return match ttl {
                    Some(1..=21_600) if got.head.header("x-forwarded-for").is_none() => text(200, SESSION),
                    _ => text(400, COMPLAINT),
                };
            }
            if got.method() != "GET" || got.head.header("x-aws-ec2-metadata-token") != Some(SESSION) {
                return text(401, COMPLAINT);
            }
            match got.target().strip_prefix(roles) {
                Some("") => text(200, "gateway+prod"),
                Some("gateway+prod") => self.keys(),
                _ => text(404, COMPLAINT),
            }
        })
        .await
    }

    fn keys(&self) -> Script {
        let (id, ends) = self.next();
        upstream::json(
            200,
            &json!({"Code": "Success", "LastUpdated": ends, "Type": "AWS-HMAC", "AccessKeyId": id,
                "SecretAccessKey": secret_of(&id), "Token": session_of(&id), "Expiration": ends}),
        )
    }
}

/// A service that refuses everybody.
pub async fn refusing() -> Upstream {
    Upstream::start(|_| vec![Step::Answer(500, Vec::new(), COMPLAINT.as_bytes().to_vec())]).await
}
