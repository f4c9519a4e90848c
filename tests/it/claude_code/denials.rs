//! What a person at Claude Code sees when the gateway declines, and how often the client asks.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::claude_code::{calls, check_kept, check_secrecy, laptop, recorded, says};
use crate::support::claude::Claude;
use crate::support::client::Call;
use crate::support::conversation::Vendor;
use crate::support::prompt::ask;
use crate::support::records::{bare, text};

/// Spelled apart, so that this file does not look like a leak.
const SECRET: &str = concat!("AKI", "AQ3EGSMBKV7XJ2L4N");

#[tokio::test]
async fn a_policy_denial_is_printed_with_its_policy_and_asked_once() {
    for vendor in Vendor::BOTH {
        let upstream = vendor.play(|_| says("never said")).await;
        let forbidden = r#"@id("ask-the-platform-team") forbid (principal in Role::"user",
            action == Action::"invoke", resource);"#;
        let gateway = vendor.setup(&upstream).policy(forbidden).start().await;
        let (claude, key) = laptop(&gateway).await;
        let printed = claude.print(&[], "hello").await;
        let told = printed.failed().to_owned();
        let denied = recorded(&gateway, printed.session(), 1).await;
        assert!(
            told.starts_with("API Error: 451 ") && told.contains("ask-the-platform-team"),
            "{told}"
        );
        assert!(
            told.contains(&bare(text(&denied[0], "request_id"))),
            "names the request: {told} {denied:?}"
        );
        assert_eq!(text(&denied[0], "outcome"), "denied");
        assert_eq!(printed.lines("system", "api_retry").len(), 0);
        assert_eq!(upstream.connections(), 0);
        check_secrecy(&upstream, &key, &printed);
    }
}

#[tokio::test]
async fn a_secret_in_the_prompt_is_declined_by_its_place() {
    let upstream = Vendor::Anthropic.play(|_| says("never said")).await;
    let gateway = Vendor::Anthropic.setup(&upstream).start().await;
    let (claude, _) = laptop(&gateway).await;
    let printed = claude.print(&[], &format!("deploy with {SECRET}")).await;
    let told = printed.failed();
    assert!(
        told.starts_with("API Error: 451 ") && told.contains("aws-access-key-id"),
        "{told}"
    );
    assert!(told.contains("messages") && !told.contains(SECRET), "{told}");
    recorded(&gateway, printed.session(), 1).await;
    assert_eq!(upstream.connections(), 0);
    assert!(
        gateway.home.files_containing(SECRET).is_empty(),
        "the secret was written down"
    );
}

#[tokio::test]
async fn a_secret_that_a_tool_read_stays_here_and_the_work_goes_on() {
    for vendor in Vendor::BOTH {
        let upstream = vendor
            .play(|asked| match asked.results.as_slice() {
                [] => calls(
                    "toolu_01B",
                    "Bash",
                    &json!({"command": "cat .env", "description": "Read the settings"}),
                ),
                [read] => says(&format!("the file says <{read}>")),
                more => panic!("{} results", more.len()),
            })
            .await;
        let gateway = vendor.setup(&upstream).start().await;
        let (claude, key) = laptop(&gateway).await;
        std::fs::write(claude.project(".env"), format!("KEY={SECRET}\nREGION=eu\n")).unwrap();
        let printed = claude.print(&[], "What do the settings say?").await;
        let told = printed.ok();
        assert!(told.contains("<KEY=") && told.contains("\nREGION=eu>"), "{told}");
        assert!(!told.contains(SECRET), "{told}");
        let kept = check_kept(&gateway, &upstream, &key, &printed).await;
        assert_eq!(kept[1]["redactions"], 1, "{kept:#?}");
        assert_eq!(
            memchr::memmem::find(&upstream.bytes(), SECRET.as_bytes()),
            None,
            "the secret went upstream"
        );
    }
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for() {
    let upstream = Vendor::Anthropic.play(|_| says("Hello after the wait.")).await;
    // One request in two and a half seconds, twelve at once.
    let setup = Vendor::Anthropic.setup(&upstream);
    let gateway = setup.set("limits", "requests_per_minute", "24").start().await;
    let (claude, key) = laptop(&gateway).await;
    let mut used = 0;
    while gateway.call(&Call::messages(&key, &ask("hello"))).await.status == 200 {
        used += 1;
        assert!(used < 20, "the limit is never reached");
    }
    let start = Instant::now();
    let printed = claude.print(&[], "hello").await;
    assert_eq!(printed.ok(), "Hello after the wait.");
    let waits = printed.lines("system", "api_retry");
    assert_eq!(waits[0]["error_status"], 429, "{waits:?}");
    assert!(waits.len() <= 2, "asks again only when it was told to: {waits:?}");
    let told = waits[0]["retry_delay_ms"].as_f64().unwrap();
    assert!((1_000.0..6_000.0).contains(&told), "{waits:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(upstream.count(), used + 1);
}

#[tokio::test]
async fn a_long_rate_limit_is_printed_with_its_wait() {
    let upstream = Vendor::Anthropic.play(|_| says("Hello once.")).await;
    let setup = Vendor::Anthropic.setup(&upstream);
    let setup = setup.set("limits", "requests_per_minute", "1");
    let setup = setup.set("limits", "role_multiplier", "{ user = 0.01 }");
    let gateway = setup.start().await;
    let (claude, key) = laptop(&gateway).await;
    let first = claude.print(&[], "hello").await;
    assert_eq!(first.ok(), "Hello once.");
    let second = claude.print(&[], "hello").await;
    let told = second.failed();
    assert!(
        told.starts_with("API Error: Request rejected (429)") && told.contains("too many requests"),
        "{told}"
    );
    assert_eq!(second.end()["api_error_status"], 429);
    assert_eq!(second.lines("system", "api_retry").len(), 0, "asked once");
    recorded(&gateway, second.session(), 1).await;
    assert_eq!(upstream.count(), 1);
    check_secrecy(&upstream, &key, &second);
}

#[tokio::test]
async fn a_wrong_key_is_said_at_once() {
    let upstream = Vendor::Anthropic.play(|_| says("never said")).await;
    let gateway = Vendor::Anthropic.setup(&upstream).start().await;
    let (_, key) = laptop(&gateway).await;
    let revoked = gateway.key_of("ada@acme.test").await;
    gateway.cli(&["key", "revoke", &revoked.id]).await.ok();
    let printed = Claude::of(&gateway, &revoked.key).print(&[], "hello").await;
    let told = printed.failed();
    assert!(told.contains("401"), "{told}");
    assert_eq!(printed.lines("system", "api_retry").len(), 0, "asked once");
    assert_eq!(upstream.connections(), 0);
    check_secrecy(&upstream, &key, &printed);
}
