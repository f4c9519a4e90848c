//! Conversations that go well.

use serde_json::json;

use crate::claude_code::{calls, check_kept, laptop, says};
use crate::support::claude::Printed;
use crate::support::conversation::{Does, Vendor};
use crate::support::records::text;

const NOTE: &str = "Größe: \"1\"\nPreis: 2 €\n";

/// The model that the client asks for where nobody chose one.
fn model_of(printed: &Printed) -> String {
    let start = printed.lines("system", "init");
    start[0]["model"].as_str().unwrap().to_owned()
}

/// Writes a file, reads it, counts its lines, and tells what the tools said.
async fn tools(vendor: Vendor) {
    let path = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = path.clone();
    let upstream = vendor
        .play(move |asked| {
            let file = known.get().unwrap();
            match asked.results.as_slice() {
                [] => calls("toolu_01W", "Write", &json!({"file_path": file, "content": NOTE})),
                [_] => calls("toolu_02R", "Read", &json!({"file_path": file})),
                [_, _] => {
                    let command = format!("wc -l < '{file}'; echo \"done: $?\" >&2");
                    calls(
                        "toolu_03B",
                        "Bash",
                        &json!({"command": command, "description": "Count lines"}),
                    )
                }
                [_, read, counted] => says(&format!("read <{read}> counted <{counted}>")),
                more => panic!("{} results", more.len()),
            }
        })
        .await;
    let gateway = vendor.setup(&upstream).start().await;
    let (claude, key) = laptop(&gateway).await;
    path.set(claude.project("notes.txt").display().to_string())
        .unwrap();

    let printed = claude.print(&[], "Make a note and count its lines").await;
    let told = printed.ok();
    assert!(
        told.contains("Größe: \"1\"") && told.contains("Preis: 2 €"),
        "{told}"
    );
    assert!(told.contains("counted <2\ndone: 0>"), "{told}");
    assert_eq!(
        std::fs::read_to_string(claude.project("notes.txt")).unwrap(),
        NOTE
    );

    let asked = model_of(&printed);
    for event in printed.events.iter().filter(|event| event["type"] == "assistant") {
        assert_eq!(
            event["message"]["model"],
            asked.as_str(),
            "the name that was asked for"
        );
    }
    let kept = check_kept(&gateway, &upstream, &key, &printed).await;
    assert_eq!(kept.len(), 4);
    for row in &kept {
        let names = ["outcome", "requested_model", "task_id"].map(|column| text(row, column));
        assert_eq!(names, ["complete", &asked, ""], "{row:?}");
    }
    let counted = |column: &str| kept.iter().map(|row| row[column].as_i64().unwrap()).sum::<i64>();
    let shown = &printed.end()["usage"];
    assert_eq!(
        shown["output_tokens"],
        counted("output_tokens"),
        "the client counts the same"
    );
    assert_eq!(
        shown["input_tokens"],
        counted("input_tokens"),
        "the client counts the same"
    );
}

#[tokio::test]
async fn tools_over_anthropic() {
    tools(Vendor::Anthropic).await;
}

#[tokio::test]
async fn tools_over_openai() {
    tools(Vendor::OpenAi).await;
}

/// Hands work to a subagent and tells what it said.
async fn subagent(vendor: Vendor) {
    let task = "Count the beans of the subagent.";
    let upstream = vendor
        .play(move |asked| match asked.results.as_slice() {
            [] if asked.said.contains(task) => says("There are 17 beans."),
            [] => {
                let input = json!({"description": "Count beans", "prompt": task,
                    "subagent_type": "general-purpose", "run_in_background": false});
                calls("toolu_01A", "Agent", &input)
            }
            [report] => says(&format!("The agent reports: {report}")),
            more => panic!("{} results", more.len()),
        })
        .await;
    let gateway = vendor.setup(&upstream).start().await;
    let (claude, key) = laptop(&gateway).await;
    let printed = claude.print(&[], "Ask an agent").await;
    let told = printed.ok();
    assert!(
        told.starts_with("The agent reports: ") && told.contains("There are 17 beans."),
        "{told}"
    );
    let kept = check_kept(&gateway, &upstream, &key, &printed).await;
    let of_agent: Vec<bool> = kept.iter().map(|row| !text(row, "task_id").is_empty()).collect();
    assert_eq!(
        of_agent,
        [false, true, false],
        "the agent's request names its task: {kept:#?}"
    );
}

#[tokio::test]
async fn a_subagent_over_anthropic() {
    subagent(Vendor::Anthropic).await;
}

#[tokio::test]
async fn a_subagent_over_openai() {
    subagent(Vendor::OpenAi).await;
}

fn never(
    what: &'static str,
) -> impl Fn(&crate::support::conversation::Asked) -> Does + Send + Sync + 'static {
    move |_| panic!("{what} asks no model")
}

#[tokio::test]
async fn tokens_are_counted_by_an_upstream_that_can() {
    let upstream = Vendor::Anthropic.play(never("/context")).await;
    let gateway = Vendor::Anthropic.setup(&upstream).start().await;
    let (claude, key) = laptop(&gateway).await;
    let printed = claude.print(&[], "/context").await;
    // The simulation counts 42 tokens in everything.
    assert!(printed.ok().contains("| Messages | 42 |"), "{}", printed.result());
    let counted = upstream.requests();
    assert!(counted.len() > 5, "{}", counted.len());
    for request in &counted {
        assert_eq!(request.path(), "/v1/messages/count_tokens");
    }
    check_kept(&gateway, &upstream, &key, &printed).await;
}

#[tokio::test]
async fn tokens_are_estimated_where_the_upstream_cannot_count() {
    let upstream = Vendor::OpenAi.play(never("/context")).await;
    let gateway = Vendor::OpenAi.setup(&upstream).start().await;
    let (claude, _) = laptop(&gateway).await;
    let printed = claude.print(&[], "/context").await;
    assert!(printed.ok().contains("| System prompt |"), "{}", printed.result());
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn models_are_discovered_as_far_as_they_are_allowed() {
    let upstream = Vendor::Anthropic
        .play(|_| says("Hello from the found model."))
        .await;
    let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
        resource == Model::"claude-opus-4-8");"#;
    let setup = Vendor::Anthropic
        .setup(&upstream)
        .model("claude-sonnet-4-6")
        .model("claude-opus-4-8");
    let gateway = setup.policy(withheld).start().await;
    let (claude, key) = laptop(&gateway).await;
    let claude = claude
        .set("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1")
        .set("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "");
    let printed = claude.print(&["--model", "claude-sonnet-4-6"], "hello").await;
    assert_eq!(printed.ok(), "Hello from the found model.");
    let found: serde_json::Value = serde_json::from_str(&claude.config("cache/gateway-models.json")).unwrap();
    assert_eq!(
        found["models"],
        json!([{"id": "claude-sonnet-4-6", "display_name": "The claude-sonnet-4-6"}])
    );
    check_kept(&gateway, &upstream, &key, &printed).await;
}
