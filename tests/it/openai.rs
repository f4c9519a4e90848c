//! Clients of OpenAI's API over OpenAI-compatible upstreams: bytes in, bytes out, governed all the way.

use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::openai_sim;
use crate::support::records::{ended, text};
use crate::support::setup::{MODEL, Setup, UPSTREAM_KEY};
use crate::support::upstream::{self, Ending, Step, Upstream, chunk, end, stream_head};

fn ask(words: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": words}]})
}

fn ask_stream(words: &str) -> Value {
    let mut body = ask(words);
    body["stream"] = json!(true);
    body
}

fn chat(key: &str, body: &Value) -> Call {
    Call::post("/v1/chat/completions", body).bearer(key)
}

/// A stream as an upstream may send it, with every kind of trap for a reader.
fn transcript(model: &str) -> Vec<u8> {
    let chunk = |choices: Value, usage: Value| {
        let data = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": choices,
            "usage": usage, "of_tomorrow": 1.0e2});
        format!("data: {data}\n\n")
    };
    let delta = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let usage =
        json!({"prompt_tokens": 37, "completion_tokens": 15, "prompt_tokens_details": {"cached_tokens": 7}});
    let pieces = [
        ": OPENROUTER PROCESSING\n\n".to_owned(),
        chunk(json!([]), Value::Null),
        chunk(
            delta(json!({"role": "assistant", "content": ""}), Value::Null),
            Value::Null,
        ),
        chunk(
            delta(json!({"content": "gr\u{fc}n \u{1f600}"}), Value::Null),
            Value::Null,
        )
        .replace("\n\n", "\r\n\r\n"),
        chunk(delta(json!({}), json!("stop")), Value::Null),
        chunk(json!([]), usage),
        "data: [DONE]\n\n".to_owned(),
    ];
    pieces.concat().into_bytes()
}

async fn over(upstream: &Upstream, alias: Option<&str>) -> (Gateway, String) {
    let setup = Setup::new()
        .upstream("sim", "openai", &format!("{}/v1", upstream.url()))
        .model(MODEL)
        .route("claude-*", &["sim"], alias);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    (gateway, key)
}

/// What OpenAI's clients read of an error.
fn error_of(answer: &Answer) -> (u16, Value) {
    let body = answer.json();
    assert!(
        body["error"]["message"].is_string() && body.get("type").is_none(),
        "{body}"
    );
    assert_eq!(
        answer.header("x-request-id"),
        answer.header("x-tollgate-request-id")
    );
    (answer.status, body["error"]["code"].clone())
}

#[tokio::test]
async fn a_request_passes_byte_for_byte() {
    let sim = openai_sim::start().await;
    let (gateway, key) = over(&sim, None).await;
    let body = format!(
        "{{ \"messages\":[{{\"content\":\"h\\u00e9llo\",\"role\":\"user\"}}],\r\n\"of_tomorrow\":1.0e2, \"model\" : \"{MODEL}\",\"n\":null }}"
    );
    let call = Call::post_bytes("/v1/chat/completions?beta=1", body.clone().into_bytes())
        .bearer(&key)
        .header("openai-organization", "org-of-the-client")
        .header("openai-beta", "assistants=v2")
        .header("user-agent", "OpenAI/Python 3.52.0");
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        openai_sim::TEXT
    );
    let sent = sim.last();
    assert_eq!(String::from_utf8_lossy(&sent.body), body);
    assert_eq!(sent.target(), "/v1/chat/completions?beta=1");
    let expected = format!("Bearer {UPSTREAM_KEY}");
    assert_eq!(sent.head.header("authorization"), Some(expected.as_str()));
    assert_eq!(sent.head.header("openai-organization"), None);
    assert_eq!(sent.head.header("openai-beta"), Some("assistants=v2"));
    let all = String::from_utf8_lossy(&sim.bytes()).into_owned();
    assert!(!all.contains(&key), "the client's key stays here");
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte_wherever_it_is_cut() {
    let bytes = transcript(MODEL);
    let places = (1..bytes.len()).step_by(3);
    let cut = |place: usize| {
        let (front, back) = bytes.split_at(place);
        upstream::stream([front.to_vec(), back.to_vec()])
    };
    let mut scripts = vec![upstream::stream(bytes.iter().map(|byte| vec![*byte]))];
    scripts.extend(places.map(cut));
    let count = scripts.len();
    let upstream = Upstream::scripted(scripts).await;
    let (gateway, key) = over(&upstream, None).await;
    let mut body = ask_stream("hello");
    body["stream_options"] = json!({"include_usage": true});
    let mut connection = gateway.connect().await;
    for index in 0..count {
        let answer = connection.call(&chat(&key, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text(), String::from_utf8_lossy(&bytes), "script {index}");
    }
    assert_eq!(
        upstream.last().json(),
        body,
        "who asks for usage is sent on as he asked"
    );
}

#[tokio::test]
async fn usage_is_asked_for_and_kept_from_who_did_not_ask() {
    let bytes = transcript(MODEL);
    let upstream = Upstream::scripted(vec![upstream::stream([bytes.clone()])]).await;
    let (gateway, key) = over(&upstream, None).await;
    let body = ask_stream("hello").to_string();
    let call = Call::post_bytes("/v1/chat/completions", body.clone().into_bytes()).bearer(&key);
    let answer = gateway.call(&call).await;
    let told = answer.text();
    assert!(
        !told.contains("prompt_tokens") && told.ends_with("data: [DONE]\n\n"),
        "{told}"
    );
    let sent = String::from_utf8_lossy(&upstream.last().body).into_owned();
    let option = r#""stream_options":{"include_usage":true},"#;
    assert_eq!(sent.replacen(option, "", 1), body, "nothing but one edit");
    assert!(sent.contains(option));

    let row = &ended(&gateway, &answer.request_id()).await;
    assert_eq!(
        (text(row, "client_dialect"), text(row, "upstream_dialect")),
        ("openai_chat", "openai_chat")
    );
    assert_eq!(row["input_tokens"], 30, "{row:?}");
    assert_eq!(
        (&row["cache_read_tokens"], &row["output_tokens"]),
        (&json!(7), &json!(15))
    );
    assert_eq!(text(row, "outcome"), "complete");
}

#[tokio::test]
async fn an_alias_is_put_back_in_streams_and_whole_answers() {
    let upstream = Upstream::scripted(vec![
        upstream::stream([transcript("gpt-of-the-operator")]),
        upstream::json(
            200,
            &json!({"model": "gpt-of-the-operator", "choices": [{"index": 0, "message": {"content": "x"}}]}),
        ),
    ])
    .await;
    let (gateway, key) = over(&upstream, Some("gpt-of-the-operator")).await;
    let mut body = ask_stream("hello");
    body["stream_options"] = json!({"include_usage": true});
    let answer = gateway.call(&chat(&key, &body)).await;
    assert_eq!(answer.text(), String::from_utf8_lossy(&transcript(MODEL)));
    assert_eq!(upstream.last().json()["model"], "gpt-of-the-operator");
    let answer = gateway.call(&chat(&key, &ask("hello"))).await;
    assert_eq!(answer.json()["model"], MODEL);
}

#[tokio::test]
async fn our_refusals_have_the_shape_that_openai_clients_read() {
    let sim = openai_sim::start().await;
    let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
        resource == Model::"claude-opus-4-8");"#;
    let gateway = Setup::openai(&sim)
        .model("claude-opus-4-8")
        .policy(withheld)
        .start()
        .await;
    let key = gateway.any_key().await;
    let refused = async |body: Value| error_of(&gateway.call(&chat(&key, &body)).await);
    let with = |key: &str, value: Value| {
        let mut body = ask("hello");
        body[key] = value;
        body
    };

    let unknown = gateway.call(&chat("tg_live_wrong", &ask("hello"))).await;
    assert_eq!(error_of(&unknown), (401, json!("invalid_api_key")));
    assert_eq!(
        refused(with("model", json!("claude-opus-4-8"))).await,
        (403, json!("policy"))
    );
    assert_eq!(refused(with("model", json!("nobody-has-this"))).await.0, 404);
    assert_eq!(
        refused(with("messages", json!("no list"))).await,
        (400, json!("malformed"))
    );
    assert_eq!(refused(with("store", json!(true))).await, (403, json!("policy")));
    assert_eq!(
        refused(with("background", json!(true))).await,
        (403, json!("policy"))
    );
    assert_eq!(
        refused(with("tools", json!([{"type": "file_search"}]))).await,
        (403, json!("policy"))
    );
    assert_eq!(
        refused(with("tools", json!([{"type": "of_tomorrow"}]))).await,
        (403, json!("policy"))
    );
    let secret = ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat();
    assert_eq!(
        refused(ask(&format!("use {secret}"))).await,
        (403, json!("secret"))
    );
    let unserved = gateway
        .call(&Call::post("/v1/images/generations", &json!({})).bearer(&key))
        .await;
    assert_eq!(error_of(&unserved).0, 404);
    let wrong_method = gateway
        .call(&Call::new("GET", "/v1/chat/completions").bearer(&key))
        .await;
    assert_eq!(error_of(&wrong_method).0, 405);
    assert_eq!(sim.count(), 0, "nothing of it went upstream");
}

#[tokio::test]
async fn a_secret_in_a_tool_result_is_taken_out() {
    let sim = openai_sim::start().await;
    let (gateway, key) = over(&sim, None).await;
    let secret = ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat();
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "read it"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": format!("token={secret}")}]});
    let answer = gateway.call(&chat(&key, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = String::from_utf8_lossy(&sim.last().body).into_owned();
    assert!(
        !sent.contains(&secret) && sent.contains("[[SECRET:github"),
        "{sent}"
    );
}

#[tokio::test]
async fn errors_of_upstreams_keep_their_class() {
    let sim = openai_sim::start().await;
    let setup = Setup::openai(&sim).set("resilience", "rest_max", "\"1ms\"");
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    for (wish, status) in [
        ("400", 400),
        ("404", 404),
        ("429", 429),
        ("500", 500),
        ("503", 503),
        ("401", 502),
    ] {
        for body in [
            ask(&format!("sim:status-{wish}")),
            ask_stream(&format!("sim:status-{wish}")),
        ] {
            let answer = gateway.call(&chat(&key, &body)).await;
            assert_eq!(error_of(&answer).0, status, "{}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), status == 429);
            assert!(!answer.text().contains("api_key"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_broken_stream_ends_in_an_error_that_clients_see() {
    let sim = openai_sim::start().await;
    let (gateway, key) = over(&sim, None).await;
    for wish in ["sim:mid-error", "sim:die"] {
        let answer = gateway.call(&chat(&key, &ask_stream(wish))).await;
        let told = answer.text();
        let last = told.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(last["error"]["message"].is_string(), "{wish}: {told}");
        assert!(!told.contains("[DONE]"), "{wish}: {told}");
        let row = &ended(&gateway, &answer.request_id()).await;
        assert_eq!(text(row, "outcome"), "error", "{wish}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_cuts_the_upstream_off() {
    let bytes = transcript(MODEL);
    let script = vec![stream_head(&[]), chunk(&bytes[..bytes.len() / 2]), Step::Hang];
    let upstream = Upstream::scripted(vec![script]).await;
    let (gateway, key) = over(&upstream, None).await;
    let mut stream = gateway
        .connect()
        .await
        .open_stream(&chat(&key, &ask_stream("hello")))
        .await;
    let head = stream.status();
    assert_eq!(head, 200);
    stream.piece().await.unwrap();
    stream.reset();
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
}

#[tokio::test]
async fn embeddings_pass_and_are_charged() {
    let answer = json!({"object": "list", "model": MODEL, "usage": {"prompt_tokens": 8, "total_tokens": 8},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.0e-3]}]});
    let upstream = Upstream::scripted(vec![upstream::json(200, &answer)]).await;
    let (gateway, key) = over(&upstream, None).await;
    let body = json!({"model": MODEL, "input": ["one text", "another one"]});
    let answered = gateway
        .call(&Call::post("/v1/embeddings", &body).bearer(&key))
        .await;
    assert_eq!((answered.status, answered.json()), (200, answer));
    assert_eq!(upstream.last().target(), "/v1/embeddings");
    let row = &ended(&gateway, &answered.request_id()).await;
    assert_eq!(
        (&row["input_tokens"], &row["output_tokens"]),
        (&json!(8), &json!(0))
    );
    assert_eq!(text(row, "client_dialect"), "openai_embeddings");
}

#[tokio::test]
async fn a_finished_answer_without_its_end_mark_is_complete() {
    let bytes = transcript(MODEL);
    let without = bytes.strip_suffix(b"data: [DONE]\n\n").unwrap();
    let upstream = Upstream::scripted(vec![vec![stream_head(&[]), chunk(without), end()]]).await;
    let (gateway, key) = over(&upstream, None).await;
    let answer = gateway.call(&chat(&key, &ask_stream("hello"))).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
}
