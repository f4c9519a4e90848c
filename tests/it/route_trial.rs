//! `tollgate route test`: what a request would come to, as it then does.

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::openai_sim;
use crate::support::prompt::ask;
use crate::support::setup::{MODEL, Setup};
use crate::support::tls::Authority;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// A route for streams of services, one for tools over a translating upstream, and one for the rest.
async fn gateway() -> (Upstream, Upstream, Gateway) {
    let (native, foreign) = (anthropic_sim::start().await, openai_sim::start().await);
    let forbidden = r#"@id("no-native-for-services") forbid (principal in Role::"service", action == Action::"connect",
        resource == Upstream::"native");"#;
    let route = |name: &str, more: &str| {
        format!("[[route]]\nname = \"{name}\"\nmodel_pattern = \"claude-*\"\n{more}\n")
    };
    let gateway = Setup::new()
        .upstream("native", "anthropic", &native.url())
        .upstream("foreign", "openai", &format!("{}/v1", foreign.url()))
        .model(MODEL)
        .table(&route(
            "streams",
            "roles = [\"service\"]\nfeatures = [\"stream\"]\nupstreams = [\"native\"]",
        ))
        .table(&route(
            "tools",
            "features = [\"tools\"]\nupstreams = [\"foreign\", \"native\"]\nupstream_model = \"gpt-5\"",
        ))
        .table(&route("rest", "upstreams = [\"native\"]"))
        .policy(forbidden)
        .start()
        .await;
    (native, foreign, gateway)
}

async fn tried(gateway: &Gateway, more: &[&str]) -> Value {
    gateway
        .cli(&[&["route", "test", "--json"], more].concat())
        .await
        .json()
}

fn reasons(told: &Value) -> Vec<(&str, &str)> {
    let passed = told["passed"].as_array().unwrap().iter();
    passed
        .map(|passed| {
            (
                passed["route"].as_str().unwrap(),
                passed["reason"].as_str().unwrap(),
            )
        })
        .collect()
}

fn upstreams(told: &Value) -> Vec<&str> {
    let candidates = told["candidates"].as_array().unwrap().iter();
    candidates
        .map(|candidate| candidate["upstream"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_foretold_is_what_happens() {
    let (native, foreign, gateway) = gateway().await;
    let key = gateway.any_key().await;
    let mut body = ask("hello");
    body["tools"] = json!([{"name": "read", "input_schema": {"type": "object"}}]);
    body["top_k"] = json!(5);
    let file = gateway.home.write("request.json", &body.to_string());
    let arguments = [
        "--model",
        MODEL,
        "--as",
        "ada@acme.test",
        "--body",
        file.to_str().unwrap(),
    ];
    let told = tried(&gateway, &arguments).await;
    assert_eq!(
        reasons(&told),
        [("streams", "the caller has none of its roles")],
        "{told}"
    );
    assert_eq!(told["route"], "tools");
    assert_eq!(upstreams(&told), ["foreign", "native"]);
    assert_eq!((native.count(), foreign.count()), (0, 0), "nothing is sent");
    let first = &told["candidates"][0];
    assert_eq!(
        (&first["served_model"], &first["translated"]),
        (&json!("gpt-5"), &json!(true))
    );
    assert_eq!(told["candidates"][1]["translated"], false);
    assert_eq!(told["permitted"], true, "{told}");

    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((native.count(), foreign.count()), (0, 1));
    assert_eq!(foreign.last().json()["model"], "gpt-5");
    let dropped = first["dropped"].as_array().unwrap().iter();
    let dropped: Vec<&str> = dropped.map(|dropped| dropped["path"].as_str().unwrap()).collect();
    assert_eq!(
        answer.header("x-tollgate-dropped"),
        Some(dropped.join(", ").as_str())
    );
    assert!(dropped.contains(&"top_k"), "{dropped:?}");
}

#[tokio::test]
async fn policies_and_models_that_nobody_serves_are_told() {
    let (native, _, gateway) = gateway().await;
    gateway.user("bot@acme.test", "service").await;
    let mut body = ask("hello");
    body["model"] = json!("claude-of-the-body");
    body["stream"] = json!(true);
    let file = gateway.home.write("request.json", &body.to_string());
    let file = file.to_str().unwrap();
    let told = tried(&gateway, &["--as", "bot@acme.test", "--body", file]).await;
    assert_eq!(
        (&told["model"], &told["route"]),
        (&json!("claude-of-the-body"), &json!("streams"))
    );
    assert_eq!(
        (&told["permitted"], &told["candidates"][0]["permitted"]),
        (&json!(false), &json!(false))
    );
    let last = told["decision"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["outcome"], &last["rule"]),
        (&json!("deny"), &json!(["no-native-for-services"]))
    );

    let text = gateway
        .cli(&["route", "test", "--model", "gpt-9", "--as", "bot@acme.test"])
        .await
        .ok();
    for expected in [
        "streams: the model does not fit",
        "rest: the model does not fit",
        "none takes it",
        "refused   model: gpt-9",
    ] {
        assert!(text.stdout.contains(expected), "{expected} in:\n{}", text.stdout);
    }
    assert_eq!(native.count(), 0);
}

#[tokio::test]
async fn every_endpoint_can_be_tried_without_a_node() {
    let (_, foreign, mut gateway) = gateway().await;
    gateway.any_key().await;
    gateway.terminate();
    gateway.ended().await;
    for (endpoint, first) in [
        ("messages", "byte for byte"),
        ("count_tokens", "byte for byte"),
        ("chat_completions", "translated"),
        ("responses", "translated"),
        ("embeddings", "cannot be asked this"),
    ] {
        let arguments = [
            "route",
            "test",
            "--model",
            MODEL,
            "--as",
            "ada@acme.test",
            "--endpoint",
            endpoint,
        ];
        let text = gateway.cli(&arguments).await.ok().stdout;
        assert!(
            text.contains(&format!("1    native as {MODEL}: {first}")),
            "{endpoint}:\n{text}"
        );
    }
    assert_eq!(foreign.count(), 0);
}

/// What the breakers of the candidates show.
fn states(told: &Value) -> Vec<&str> {
    let candidates = told["candidates"].as_array().unwrap().iter();
    candidates
        .map(|candidate| candidate["breaker"].as_str().unwrap())
        .collect()
}

/// A policy on certificates, a route for the night, and a breaker that has opened.
#[tokio::test]
async fn another_time_a_certificate_and_breakers_are_looked_at() {
    let (down, up) = (Upstream::refusing().await, anthropic_sim::start().await);
    let wants = r#"@id("laptops-only") forbid (principal, action == Action::"invoke", resource)
        unless { context has client_certificate && context.client_certificate.dns_names.contains("ada.laptops.test") };"#;
    let laptop = Authority::new("operator")
        .server(&["ada.laptops.test"])
        .certificate;
    let mut gateway = Setup::new()
        .each_upstream("breaker = { failures = 1, open_for = \"10m\", open_for_max = \"10m\" }\n")
        .upstream("down", "anthropic", &format!("http://{down}"))
        .upstream("up", "anthropic", &up.url())
        .table("[[route]]\nname = \"night\"\nmodel_pattern = \"claude-*\"\nhours = \"22:00-06:00\"\nupstreams = [\"up\"]\n")
        .table("[[route]]\nname = \"day\"\nmodel_pattern = \"*\"\nupstreams = [\"down\", \"up\"]\n")
        .start()
        .await;
    let key = gateway.any_key().await;
    let file = gateway.home.write("laptop.pem", &laptop);
    let text = gateway.home.read("tollgate.toml");
    let metrics = format!("[metrics]\nlisten = \"{}\"", gateway.metrics);
    gateway.home.write(
        "tollgate.toml",
        &text.replacen("[metrics]\nlisten = \"127.0.0.1:0\"", &metrics, 1),
    );
    let asked = ["--model", MODEL, "--as", "ada@acme.test", "--at"];
    let at = |time: &'static str| [&asked[..], &[time]].concat();
    let day = tried(&gateway, &at("2026-11-22T12:00:00Z")).await;
    assert_eq!((&day["route"], states(&day)), (&json!("day"), vec!["closed"; 2]));
    until("the breaker to open", async || {
        // Of a model that goes the same way at every hour.
        let mut body = ask("hello");
        body["model"] = json!("another");
        gateway.call(&Call::messages(&key, &body)).await;
        let day = tried(&gateway, &at("2026-11-22T12:00:00Z")).await;
        (states(&day) == ["open", "closed"]).then_some(())
    })
    .await;
    let night = tried(&gateway, &at("2026-11-22T23:30:00Z")).await;
    assert_eq!(night["route"], "night", "{night}");
    let odd = gateway
        .cli(&[&["route", "test"], &at("half past six")[..]].concat())
        .await;
    assert!(odd.code == 2 && odd.stderr.contains("in UTC"), "{}", odd.stderr);

    gateway.terminate();
    gateway.ended().await;
    let written = gateway.home.read("tollgate.toml");
    gateway.home.write("policies/laptops.cedar", wants);
    gateway.home.write(
        "policies/all.cedar",
        "@id(\"all\") permit(principal, action, resource);",
    );
    gateway.home.write(
        "tollgate.toml",
        &format!("[policy]\ndirectory = \"policies\"\n{written}"),
    );
    let without = tried(&gateway, &at("2026-11-22T12:00:00Z")).await;
    assert_eq!(
        (&without["permitted"], states(&without)),
        (&json!(false), vec!["unknown"; 2])
    );
    let shown = [
        &at("2026-11-22T12:00:00Z")[..],
        &["--client-certificate", file.to_str().unwrap()],
    ]
    .concat();
    let with = tried(&gateway, &shown).await;
    assert_eq!(with["permitted"], true, "{with}");
}

#[tokio::test]
async fn who_or_what_cannot_be_tried_is_said() {
    let (_, _, gateway) = gateway().await;
    gateway.any_key().await;
    let file = gateway.home.write("request.json", "{\"model\": \"m\"}");
    let ada = ["route", "test", "--as", "ada@acme.test"];
    let bad_body = [&ada[..], &["--body", file.to_str().unwrap()]].concat();
    let nobody = ["route", "test", "--as", "eve@acme.test", "--model", MODEL];
    let odd_endpoint = [&ada[..], &["--model", MODEL, "--endpoint", "chat"]].concat();
    for (arguments, code, told) in [
        (&bad_body[..], 2, "messages"),
        (&nobody[..], 3, "eve@acme.test"),
        (&ada[..], 2, "--model"),
        (&odd_endpoint[..], 2, "chat_completions"),
    ] {
        let output = gateway.cli(arguments).await;
        assert_eq!(output.code, code, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(told), "{arguments:?}: {}", output.stderr);
    }
    gateway
        .cli(&["user", "disable", "--tenant", "acme", "ada@acme.test"])
        .await
        .ok();
    let output = gateway.cli(&[&ada[..], &["--model", MODEL]].concat()).await;
    assert!(
        output.code == 3 && output.stderr.contains("disabled"),
        "{}",
        output.stderr
    );
}
