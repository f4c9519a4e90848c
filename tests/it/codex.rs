//! What a conversation with Codex from npm holds: a tool call and its output, thinking that goes back as it came,
//! what is written down, and a refusal. `suite` runs it over every kind of upstream.

use serde_json::{Value, json};

use crate::support::codex::Codex;
use crate::support::conversation::{Asked, Does, Vendor};
use crate::support::gateway::Gateway;
use crate::support::records::{Row, rows, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const SIGNATURE: &str = "c2lnbmF0dXJl/+==";

/// A gateway over this upstream, which serves Messages, or chat completions and nothing else.
async fn over(vendor: Vendor, upstream: &Upstream, policy: &str) -> Gateway {
    let setup = match vendor {
        Vendor::Anthropic => Setup::new().upstream("sim", "anthropic", &upstream.url()),
        Vendor::OpenAi => {
            Setup::new().upstream("sim", "openai-compatible", &format!("{}/v1", upstream.url()))
        }
    };
    let setup = setup.route("claude-*", &["sim"], Some(Vendor::MODEL));
    let setup = if policy.is_empty() {
        setup
    } else {
        setup.policy(policy)
    };
    setup.start().await
}

/// Thinks, writes a file by a command, and says what the command printed.
fn writes_a_file(asked: &Asked) -> Does {
    if let [printed] = asked.results.as_slice() {
        return Does::Says(vec![
            json!({"type": "text", "text": format!("it printed <{printed}>")}),
        ]);
    }
    let input = json!({"cmd": "printf 'Größe\\n' > note.txt && wc -c < note.txt"});
    Does::Says(vec![
        json!({"type": "thinking", "thinking": "A \"file\".", "signature": SIGNATURE}),
        json!({"type": "text", "text": "I write it."}),
        json!({"type": "tool_use", "id": "toolu_01", "name": "exec_command", "input": input}),
    ])
}

/// The rows of all requests, closed.
fn recorded(gateway: &Gateway) -> Vec<Row> {
    rows(
        gateway,
        "SELECT * FROM ai_requests WHERE outcome != 'open' ORDER BY opened_at",
    )
}

#[tokio::test]
async fn a_tool_call_and_the_thinking_before_it() {
    let upstream = Vendor::Anthropic.play(writes_a_file).await;
    let gateway = over(Vendor::Anthropic, &upstream, "").await;
    let key = gateway.any_key().await;
    let codex = Codex::of(&gateway, &key, MODEL);
    let printed = codex.exec("Write a note").await;
    assert_eq!(printed.code, 0, "{printed:#?}");
    assert!(printed.said().contains("it printed <"), "{printed:#?}");
    // Seven bytes of UTF-8 and the line end went through the shell of the laptop and back to the model.
    assert!(printed.said().contains('8'), "{printed:#?}");
    let commands = printed.items("command_execution");
    assert_eq!(
        (commands.len(), &commands[0]["exit_code"]),
        (1, &json!(0)),
        "{printed:#?}"
    );
    assert_eq!(codex.project("note.txt"), "Größe\n");

    assert_eq!(upstream.count(), 2, "{printed:#?}");
    let sent: Value = upstream.last().json();
    assert_eq!(sent["model"], Vendor::MODEL);
    let said = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|turn| turn["role"] == "assistant");
    let first = &said.unwrap()["content"][0];
    let thought = json!({"type": "thinking", "thinking": "A \"file\".", "signature": SIGNATURE});
    assert_eq!(*first, thought, "what the model signed comes back as it was");
    let all = String::from_utf8_lossy(&upstream.bytes()).into_owned();
    assert!(!all.contains(&key), "the key went upstream");
    let kept = until("both rows", async || {
        Some(recorded(&gateway)).filter(|rows| rows.len() == 2)
    })
    .await;
    for row in &kept {
        assert_eq!(text(row, "client_dialect"), "openai_responses", "{row:?}");
        assert_eq!(text(row, "outcome"), "complete", "{row:?}");
        assert_eq!(text(row, "requested_model"), MODEL, "{row:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_its_own_words() {
    let upstream = Vendor::Anthropic.play(|_| panic!("nothing goes upstream")).await;
    let withheld = r#"@id("not-for-codex") forbid (principal, action == Action::"invoke",
        resource == Model::"claude-sonnet-4-6");"#;
    let gateway = over(Vendor::Anthropic, &upstream, withheld).await;
    let key = gateway.any_key().await;
    let printed = Codex::of(&gateway, &key, MODEL).exec("hello").await;
    assert_ne!(printed.code, 0, "{printed:#?}");
    let told = json!(printed.events).to_string();
    assert!(told.contains("not-for-codex"), "{printed:#?}");
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_answer() {
    for vendor in Vendor::BOTH {
        let upstream = vendor
            .play(|_| {
                Does::Dies(vec![
                    json!({"type": "text", "text": "Once upon a time there was"}),
                ])
            })
            .await;
        let gateway = over(vendor, &upstream, "").await;
        let key = gateway.any_key().await;
        let printed = Codex::of(&gateway, &key, MODEL).exec("hello").await;
        assert_ne!(printed.code, 0, "{vendor:?}: {printed:#?}");
        assert!(
            printed.items("agent_message").is_empty(),
            "{vendor:?}: {printed:#?}"
        );
    }
}
