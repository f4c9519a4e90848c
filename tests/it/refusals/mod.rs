//! What bad input gets: a status, a text that names problem and fix, a record, and nothing upstream.

mod framing;
mod json;
mod limits;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::rows_of;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

/// A gateway, its upstream, a good key, and what went wrong so far: a table reports all its failures at once.
struct Table {
    gateway: Gateway,
    sim: Upstream,
    key: String,
    failures: Vec<String>,
    recorded: Vec<(String, String)>,
}

/// What a refusal must look like.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    status: u16,
    kind: &'a str,
    /// Words of the message, in any case.
    words: &'a [&'a str],
}

const fn invalid<'a>(words: &'a [&'a str]) -> Wanted<'a> {
    Wanted {
        status: 400,
        kind: "invalid_request_error",
        words,
    }
}

impl Table {
    async fn new(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let sim = anthropic_sim::start().await;
        let gateway = configure(Setup::anthropic(&sim)).start().await;
        let key = gateway.any_key().await;
        Self {
            gateway,
            sim,
            key,
            failures: Vec::new(),
            recorded: Vec::new(),
        }
    }

    fn fail(&mut self, case: &str, problem: &str) {
        self.failures.push(format!("{case}: {problem}"));
    }

    /// Sends raw bytes and reads what comes; the sending side is closed if `cut` says so.
    async fn send(&self, bytes: &[u8], cut: bool) -> Option<Answer> {
        let mut connection = Connection::open(self.gateway.address).await;
        connection.send(bytes).await;
        if cut {
            connection.finish().await;
        }
        connection.answer("POST").await
    }

    /// A complete request that must be refused, be recorded, and go nowhere.
    async fn refuses(&mut self, case: &str, call: &Call, wanted: Wanted<'_>) {
        let bytes = [call.head_bytes(), call.body_bytes()].concat();
        self.refuses_bytes(case, &bytes, false, wanted).await;
    }

    async fn refuses_bytes(&mut self, case: &str, bytes: &[u8], cut: bool, wanted: Wanted<'_>) {
        let before = self.sim.bytes().len();
        match self.send(bytes, cut).await {
            None => self.fail(case, "closed without an answer"),
            Some(answer) => self.judge(case, &answer, wanted),
        }
        self.has_sent_nothing_and_still_serves(case, before).await;
    }

    fn judge(&mut self, case: &str, answer: &Answer, wanted: Wanted<'_>) {
        if answer.status != wanted.status {
            return self.fail(
                case,
                &format!(
                    "{} instead of {}: {}",
                    answer.status,
                    wanted.status,
                    answer.text()
                ),
            );
        }
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
            return self.fail(case, &format!("the body is no JSON: {:?}", answer.text()));
        };
        if body["type"] != "error" || body["error"]["type"] != wanted.kind {
            self.fail(case, &format!("another kind than {}: {body}", wanted.kind));
        }
        let message = body["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_lowercase();
        for word in wanted.words {
            if !message.contains(&word.to_lowercase()) {
                self.fail(case, &format!("{word:?} is not in {message:?}"));
            }
        }
        match answer.header("request-id") {
            None => self.fail(case, "no request-id"),
            Some(id) => self.recorded.push((case.to_owned(), id.to_owned())),
        }
    }

    async fn has_sent_nothing_and_still_serves(&mut self, case: &str, before: usize) {
        if self.sim.bytes().len() != before {
            self.fail(case, "bytes went upstream");
        }
        if !self.gateway.is_running() {
            panic!("{case}: the gateway is gone\n{:#?}", self.failures);
        }
        let good = self.gateway.call(&Call::messages(&self.key, &ask("hello"))).await;
        if good.status != 200 {
            self.fail(case, &format!("a good request afterwards got {}", good.status));
        }
    }

    /// Every refusal of a known caller stands in the audit table; then all failures are reported.
    async fn finish(self) {
        self.finish_unrecorded(false).await;
    }

    /// Like `finish`; refusals that came before there was an identity have no row.
    async fn finish_unrecorded(mut self, anonymous: bool) {
        if !anonymous {
            for (case, request) in std::mem::take(&mut self.recorded) {
                let rows = rows_of(&self.gateway, "audit", &request).await;
                if rows.iter().all(|row| row["decision"] == "allow") {
                    self.fail(&case, &format!("recorded as allowed: {rows:?}"));
                }
            }
        }
        let log = self.gateway.log();
        if log.contains("panicked at") {
            self.failures.push("the gateway panicked".to_owned());
        }
        assert!(
            self.failures.is_empty(),
            "{} failures:\n{}",
            self.failures.len(),
            self.failures.join("\n")
        );
    }
}
