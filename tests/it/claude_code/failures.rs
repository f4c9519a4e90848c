//! Upstreams that break, and a gateway that is restarted.

use serde_json::{Value, json};

use crate::claude_code::{calls, check_kept, laptop, says};
use crate::support::conversation::{Does, Vendor};
use crate::support::records::text;
use crate::support::wait::until;

fn words(text: &str) -> Vec<Value> {
    vec![json!({"type": "text", "text": text})]
}

/// The first stream breaks; the client asks again, without a stream, and prints that answer alone.
async fn recovers(vendor: Vendor, broken: fn(Vec<Value>) -> Does, kind: &str) {
    let upstream = vendor
        .play(move |asked| match asked.earlier {
            0 => broken(words("This answer breaks in the middle of what it says.")),
            _ => says("This answer is whole."),
        })
        .await;
    let gateway = vendor.setup(&upstream).start().await;
    let (claude, key) = laptop(&gateway).await;
    let printed = claude.print(&[], "hello").await;
    assert_eq!(printed.ok(), "This answer is whole.", "{vendor:?}");
    let kept = check_kept(&gateway, &upstream, &key, &printed).await;
    let outcomes: Vec<&str> = kept.iter().map(|row| text(row, "outcome")).collect();
    assert_eq!(outcomes, ["error", "complete"], "{vendor:?}: {kept:#?}");
    assert_eq!(text(&kept[0], "error_kind"), kind, "{vendor:?}");
    assert_eq!(
        kept[0]["status"], 200,
        "{vendor:?}: the head was sent before it broke"
    );
}

#[tokio::test]
async fn an_error_event_in_a_stream_is_recovered_from() {
    for vendor in Vendor::BOTH {
        recovers(vendor, Does::Fails, "overloaded_error").await;
    }
}

#[tokio::test]
async fn a_connection_lost_in_a_stream_is_recovered_from() {
    for vendor in Vendor::BOTH {
        recovers(vendor, Does::Dies, "stream_broken").await;
    }
}

#[tokio::test]
async fn an_upstream_that_stays_broken_is_told_and_left_alone() {
    for vendor in Vendor::BOTH {
        let upstream = vendor.play(|_| Does::Refuses(529)).await;
        let gateway = vendor.setup(&upstream).start().await;
        let (claude, key) = laptop(&gateway).await;
        let claude = claude.set("CLAUDE_CODE_MAX_RETRIES", "1");
        let printed = claude.print(&[], "hello").await;
        let told = printed.failed();
        assert!(
            told.contains("529") || told.contains("verloaded"),
            "{vendor:?}: {told}"
        );
        assert!(upstream.count() <= 4, "{vendor:?}: {}", upstream.count());
        check_kept(&gateway, &upstream, &key, &printed).await;
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_between_turns() {
    for vendor in Vendor::BOTH {
        let upstream = vendor
            .play(|asked| match asked.earlier {
                0 => says("I shall remember: blue."),
                _ if asked.said.contains("my colour is blue") => says("It was blue."),
                _ => says("I know nothing."),
            })
            .await;
        let mut gateway = vendor.setup(&upstream).start().await;
        gateway.keep_address();
        let (claude, key) = laptop(&gateway).await;
        let first = claude.print(&[], "my colour is blue").await;
        assert_eq!(first.ok(), "I shall remember: blue.");
        gateway.terminate();
        assert!(gateway.ended().await.success());
        gateway.restart().await;
        let second = claude.print(&["--resume", first.session()], "what was it?").await;
        assert_eq!(second.ok(), "It was blue.", "{vendor:?}");
        assert_eq!(second.session(), first.session(), "{vendor:?}");
        check_kept(&gateway, &upstream, &key, &second).await;
    }
}

/// The gateway is killed while the client runs a tool, and comes back only after the client noticed.
#[tokio::test]
async fn a_client_waits_for_a_gateway_that_was_killed() {
    let command = "touch started; while [ ! -e go ]; do sleep 0.05; done; echo resumed";
    let upstream = Vendor::Anthropic
        .play(move |asked| match asked.results.as_slice() {
            [] => calls(
                "toolu_01B",
                "Bash",
                &json!({"command": command, "description": "Wait"}),
            ),
            [result] => says(&format!("The tool said: {result}")),
            more => panic!("{} results", more.len()),
        })
        .await;
    let mut gateway = Vendor::Anthropic.setup(&upstream).start().await;
    gateway.keep_address();
    let (claude, key) = laptop(&gateway).await;
    let run = claude.start(&[], "wait for it");
    until("the tool to run", async || {
        claude.project("started").exists().then_some(())
    })
    .await;
    gateway.kill();
    std::fs::write(claude.project("go"), "").unwrap();
    until("the client to notice", async || {
        run.so_far().contains("api_retry").then_some(())
    })
    .await;
    gateway.restart().await;
    let printed = run.ended().await;
    assert_eq!(printed.ok(), "The tool said: resumed");
    assert_eq!(upstream.count(), 2);
    check_kept(&gateway, &upstream, &key, &printed).await;
}
