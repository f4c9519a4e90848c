//! Recorded requests of OpenAI's own SDKs, replayed: what arrives upstream is, but for one edit, what was
//! sent.

use crate::recorded::{Recorded, recorded};
use crate::support::openai_sim;
use crate::support::setup::Setup;

/// What a stream is asked beside what its client asked.
const USAGE: &str = r#""stream_options":{"include_usage":true},"#;

/// What is said for a client that did not say whether its response shall be kept.
const STORE: &str = r#""store":false,"#;

#[tokio::test]
async fn recorded_completions_arrive_as_they_were_sent() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).route("*", &["sim"], None).start().await;
    let key = gateway.any_key().await;
    let recorded = recorded();
    let sent = |recorded: &&Recorded| recorded.is_openai();
    let mut tried = 0;
    for recorded in recorded.iter().filter(sent) {
        for body in &recorded.bodies {
            let answer = gateway.call(&recorded.call(&key, body)).await;
            assert_eq!(answer.status, 200, "{}: {}", recorded.name, answer.text());
            let got = sim.last();
            let (got_body, body) = (String::from_utf8_lossy(&got.body), String::from_utf8_lossy(body));
            let is_chat = recorded.path() == "/v1/chat/completions";
            let asked = !is_chat || (body.contains("\"stream\"") && !body.contains("include_usage"));
            let edit = if is_chat { USAGE } else { STORE };
            assert_eq!(got_body.contains(edit), asked, "{}: {got_body}", recorded.name);
            let plain = if asked {
                got_body.replacen(edit, "", 1)
            } else {
                got_body.into_owned()
            };
            assert_eq!(plain, body, "{}", recorded.name);
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} requests were found");
}
