//! Recorded requests of OpenAI's own SDKs, replayed: what arrives upstream is, but for one edit, what was
//! sent.

use crate::recorded::{Recorded, recorded};
use crate::support::openai_sim;
use crate::support::setup::Setup;

/// What a stream is asked beside what its client asked.
const USAGE: &str = r#""stream_options":{"include_usage":true},"#;

#[tokio::test]
async fn recorded_completions_arrive_as_they_were_sent() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).route("*", &["sim"], None).start().await;
    let key = gateway.any_key().await;
    let recorded = recorded();
    let sent = |recorded: &&Recorded| recorded.path() == "/v1/chat/completions";
    let mut tried = 0;
    for recorded in recorded.iter().filter(sent) {
        for body in &recorded.bodies {
            let answer = gateway.call(&recorded.call(&key, body)).await;
            assert_eq!(answer.status, 200, "{}: {}", recorded.name, answer.text());
            let got = sim.last();
            let (got_body, body) = (String::from_utf8_lossy(&got.body), String::from_utf8_lossy(body));
            let asked = body.contains("\"stream\"") && !body.contains("include_usage");
            assert_eq!(got_body.contains(USAGE), asked, "{}: {got_body}", recorded.name);
            let plain = if asked {
                got_body.replacen(USAGE, "", 1)
            } else {
                got_body.into_owned()
            };
            assert_eq!(plain, body, "{}", recorded.name);
            tried += 1;
        }
    }
    assert!(tried >= 8, "only {tried} requests were found");
}
