//! The same governance on every way in: each stage has its say, streaming or not, whatever is spoken on
//! either side.

use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::records::{ended, rows_of, text};
use crate::support::setup::{MODEL, Setup, UPSTREAM_KEY};
use crate::support::upstream::Upstream;
use crate::support::{anthropic_sim, openai_sim};

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Anthropic,
    OpenAi,
    /// OpenAI's chat completions and nothing else.
    ChatOnly,
}

const EVERYBODY: [Speaks; 3] = [Speaks::Anthropic, Speaks::OpenAi, Speaks::ChatOnly];

/// One way in, over one kind of upstream.
#[derive(Clone, Copy, Debug)]
struct Ingress {
    path: &'static str,
    over: Speaks,
    streams: bool,
    /// The client's wire format, as the ledger names it.
    format: &'static str,
}

const fn ingress(path: &'static str, over: Speaks, streams: bool, format: &'static str) -> Ingress {
    Ingress {
        path,
        over,
        streams,
        format,
    }
}

const INGRESSES: [Ingress; 16] = [
    ingress("/v1/messages", Speaks::Anthropic, false, "anthropic_messages"),
    ingress("/v1/messages", Speaks::Anthropic, true, "anthropic_messages"),
    ingress("/v1/messages", Speaks::OpenAi, false, "anthropic_messages"),
    ingress("/v1/messages", Speaks::OpenAi, true, "anthropic_messages"),
    ingress(
        "/v1/messages/count_tokens",
        Speaks::Anthropic,
        false,
        "anthropic_messages",
    ),
    ingress("/v1/chat/completions", Speaks::OpenAi, false, "openai_chat"),
    ingress("/v1/chat/completions", Speaks::OpenAi, true, "openai_chat"),
    ingress("/v1/chat/completions", Speaks::Anthropic, false, "openai_chat"),
    ingress("/v1/chat/completions", Speaks::Anthropic, true, "openai_chat"),
    ingress("/v1/embeddings", Speaks::OpenAi, false, "openai_embeddings"),
    ingress("/v1/responses", Speaks::OpenAi, false, "openai_responses"),
    ingress("/v1/responses", Speaks::OpenAi, true, "openai_responses"),
    ingress("/v1/responses", Speaks::Anthropic, false, "openai_responses"),
    ingress("/v1/responses", Speaks::Anthropic, true, "openai_responses"),
    ingress("/v1/responses", Speaks::ChatOnly, false, "openai_responses"),
    ingress("/v1/responses", Speaks::ChatOnly, true, "openai_responses"),
];

impl Ingress {
    /// A request for `model` with these words of the user.
    fn body(self, model: &str, words: &str) -> Value {
        let mut body = match self.path {
            "/v1/embeddings" => json!({"model": model, "input": words}),
            "/v1/responses" => json!({"model": model, "input": [{"role": "user", "content": words}]}),
            "/v1/messages" => {
                json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": words}]})
            }
            _ => json!({"model": model, "messages": [{"role": "user", "content": words}]}),
        };
        if self.streams {
            body["stream"] = json!(true);
        }
        body
    }

    fn call(self, body: &Value) -> Call {
        Call::post(self.path, body)
    }

    /// A field by which the client asks the upstream to act for it.
    fn with_power(self) -> Value {
        let mut body = self.body(MODEL, "hello");
        match self.path {
            "/v1/embeddings" => body["store"] = json!(true),
            "/v1/chat/completions" | "/v1/responses" => body["tools"] = json!([{"type": "code_interpreter"}]),
            _ => body["tools"] = json!([{"type": "code_execution_20250825", "name": "code_execution"}]),
        }
        body
    }

    /// A request that says twice, and differently, whether the model shall think: at the top, and inside.
    fn thinking_twice(self) -> [Vec<u8>; 2] {
        let pieces = match self.format {
            "anthropic_messages" => [
                r#"{"thinking":{"type":"disabled"},"thinking":{"type":"adaptive"},"#,
                r#"{"thinking":{"type":"disabled","type":"adaptive"},"#,
            ],
            "openai_chat" => [
                r#"{"reasoning_effort":"none","reasoning_effort":"high","#,
                r#"{"reasoning":{"effort":"none","effort":"high"},"#,
            ],
            _ => [
                r#"{"reasoning":{"effort":"none"},"reasoning":{"effort":"high"},"#,
                r#"{"reasoning":{"effort":"none","effort":"high"},"#,
            ],
        };
        let plain = self.body(MODEL, "hello").to_string();
        pieces.map(|piece| plain.replacen('{', piece, 1).into_bytes())
    }

    /// The type that this way's clients read in an error.
    fn error_word(self, answer: &Answer) -> String {
        let body = answer.json();
        let is_anthropic = self.format == "anthropic_messages";
        assert_eq!(body["type"] == "error", is_anthropic, "{self:?}: {body}");
        let word = if is_anthropic {
            &body["error"]["type"]
        } else {
            &body["error"]["code"]
        };
        word.as_str().unwrap_or_default().to_owned()
    }
}

/// A gateway over an upstream, with a model that users may not use.
struct House {
    gateway: Gateway,
    upstream: Upstream,
    key: String,
}

impl House {
    async fn over(speaks: Speaks, change: impl FnOnce(Setup) -> Setup) -> Self {
        let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
            resource == Model::"claude-opus-4-8");"#;
        let (setup, upstream) = match speaks {
            Speaks::Anthropic => {
                let upstream = anthropic_sim::start().await;
                (Setup::anthropic(&upstream), upstream)
            }
            Speaks::OpenAi => {
                let upstream = openai_sim::start().await;
                (Setup::openai(&upstream), upstream)
            }
            Speaks::ChatOnly => {
                let upstream = openai_sim::start().await;
                (Setup::compatible(&upstream), upstream)
            }
        };
        let setup = setup.model("claude-opus-4-8").policy(withheld);
        let gateway = change(setup).start().await;
        let key = gateway.any_key().await;
        Self {
            gateway,
            upstream,
            key,
        }
    }
}

fn secret() -> String {
    ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()
}

/// What a stage says of a request that it stops: the stage, the request, status and the two families'
/// words.
fn stopped(ingress: Ingress, key: &str) -> Vec<(&'static str, Call, u16, [&'static str; 2])> {
    let call = |body: &Value| ingress.call(body).bearer(key);
    let plain = ingress.body(MODEL, "hello");
    let twice = plain
        .to_string()
        .replacen('{', &format!("{{\"model\":\"{MODEL}\","), 1);
    let withheld = ingress.body("claude-opus-4-8", "hello");
    let secret = ingress.body(MODEL, &format!("use {} for it", secret()));
    let policy = ["permission_error", "policy"];
    vec![
        (
            "identify: none",
            ingress.call(&plain),
            401,
            ["authentication_error", "invalid_api_key"],
        ),
        (
            "identify: unknown",
            ingress.call(&plain).bearer("tg_live_wrong"),
            401,
            ["authentication_error", "invalid_api_key"],
        ),
        (
            "intake: encoded",
            call(&plain).header("content-encoding", "gzip"),
            415,
            ["invalid_request_error", "encoded"],
        ),
        (
            "intake: too large",
            call(&ingress.body(MODEL, &"x ".repeat(40_000))),
            413,
            ["request_too_large", "too_large"],
        ),
        (
            "inspect: ambiguous",
            Call::post_bytes(ingress.path, twice.into_bytes()).bearer(key),
            400,
            ["invalid_request_error", "malformed"],
        ),
        (
            "scope: unknown model",
            call(&ingress.body("nobody-has-this", "hello")),
            404,
            ["not_found_error", "not_found"],
        ),
        (
            "secrets: in new text",
            call(&secret),
            403,
            ["permission_error", "secret"],
        ),
        ("policy: model", call(&withheld), 403, policy),
        ("policy: power", call(&ingress.with_power()), 403, policy),
    ]
}

#[tokio::test]
async fn every_stage_stops_what_it_must_on_every_way_in() {
    for speaks in EVERYBODY {
        let house = House::over(speaks, |setup| {
            setup.set("server", "body_bytes_max", "\"64 KiB\"")
        })
        .await;
        for ingress in INGRESSES.into_iter().filter(|ingress| ingress.over == speaks) {
            let ambiguous = ingress.thinking_twice().map(|body| {
                let call = Call::post_bytes(ingress.path, body).bearer(&house.key);
                let words = ["invalid_request_error", "malformed"];
                ("inspect: thinking said twice", call, 400, words)
            });
            let stopped = stopped(ingress, &house.key);
            for (stage, call, status, words) in stopped.into_iter().chain(ambiguous) {
                let answer = house.gateway.call(&call).await;
                let shown = format!("{ingress:?}, {stage}: {}", answer.text());
                assert_eq!(answer.status, status, "{shown}");
                let word = words[usize::from(ingress.format != "anthropic_messages")];
                assert_eq!(ingress.error_word(&answer), word, "{shown}");
                assert!(!answer.text().contains(&secret()), "{shown}");
                if status == 401 {
                    continue;
                }
                let row = &ended(&house.gateway, &answer.request_id()).await;
                assert_eq!(text(row, "outcome"), "denied", "{shown}");
                assert_eq!(text(row, "client_dialect"), ingress.format, "{shown}");
            }
        }
        assert_eq!(
            house.upstream.count(),
            0,
            "{speaks:?}: nothing of it went upstream"
        );
    }
}

#[tokio::test]
async fn whatever_passes_is_decided_recorded_and_sent_with_our_credential() {
    for speaks in EVERYBODY {
        let house = House::over(speaks, |setup| setup).await;
        for ingress in INGRESSES.into_iter().filter(|ingress| ingress.over == speaks) {
            let call = ingress.call(&ingress.body(MODEL, "hello")).bearer(&house.key);
            let answer = house.gateway.call(&call).await;
            assert_eq!(answer.status, 200, "{ingress:?}: {}", answer.text());
            let is_stream = answer
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"));
            assert_eq!(is_stream, ingress.streams, "{ingress:?}");

            let request = answer.request_id();
            let row = &ended(&house.gateway, &request).await;
            assert_eq!(text(row, "outcome"), "complete", "{ingress:?}: {row:?}");
            assert_eq!(text(row, "client_dialect"), ingress.format, "{ingress:?}");
            let streamed = row["stream"] == 1 || row["stream"] == true;
            assert_eq!(streamed, ingress.streams, "{ingress:?}");
            assert!(row["request_digest"].is_string(), "{ingress:?}: {row:?}");
            if ingress.path != "/v1/messages/count_tokens" {
                assert!(row["input_tokens"].as_u64() > Some(0), "{ingress:?}: {row:?}");
                assert_eq!(text(row, "cost_state"), "priced", "{ingress:?}: {row:?}");
            }
            let decisions = rows_of(&house.gateway, "governance_decisions", &request).await;
            for stage in ["scope", "secrets", "policy"] {
                let passed = decisions
                    .iter()
                    .any(|row| text(row, "stage") == stage && text(row, "outcome") == "allow");
                assert!(passed, "{ingress:?}: {stage} in {decisions:?}");
            }

            let sent = house.upstream.last();
            let all = String::from_utf8_lossy(&house.upstream.bytes()).into_owned();
            assert!(
                !all.contains(&house.key),
                "{ingress:?}: the client's key stays here"
            );
            let credential = match speaks {
                Speaks::Anthropic => sent.head.header("x-api-key").map(str::to_owned),
                Speaks::OpenAi | Speaks::ChatOnly => sent
                    .head
                    .header("authorization")
                    .map(|value| value.replace("Bearer ", "")),
            };
            assert_eq!(credential.as_deref(), Some(UPSTREAM_KEY), "{ingress:?}");
        }
    }
}

#[tokio::test]
async fn the_rate_limit_counts_every_way_in() {
    for speaks in EVERYBODY {
        // A burst of one: whichever way in comes first, the next one waits.
        let house = House::over(speaks, |setup| setup.set("limits", "requests_per_minute", "2")).await;
        let ways = INGRESSES.into_iter().filter(|ingress| ingress.over == speaks);
        for (number, ingress) in ways.enumerate() {
            let call = ingress.call(&ingress.body(MODEL, "hello")).bearer(&house.key);
            let answer = house.gateway.call(&call).await;
            if number == 0 {
                assert_eq!(answer.status, 200, "{}", answer.text());
                continue;
            }
            assert_eq!(answer.status, 429, "{ingress:?}: {}", answer.text());
            let words = ["rate_limit_error", "rate_limit_exceeded"];
            let word = words[usize::from(ingress.format != "anthropic_messages")];
            assert_eq!(ingress.error_word(&answer), word);
            assert!(answer.header("retry-after").is_some(), "{ingress:?}");
        }
        assert_eq!(house.upstream.count(), 1);
    }
}

#[tokio::test]
async fn secrets_of_earlier_turns_are_taken_out_on_every_way_in() {
    for speaks in EVERYBODY {
        let house = House::over(speaks, |setup| setup).await;
        let talks = |ingress: &Ingress| ingress.over == speaks && ingress.path != "/v1/embeddings";
        for ingress in INGRESSES.into_iter().filter(talks) {
            let mut body = ingress.body(MODEL, "hello");
            let earlier = json!({"role": "user", "content": format!("my key is {}", secret())});
            let answer = json!({"role": "assistant", "content": "I see."});
            let turns = if ingress.path == "/v1/responses" {
                "input"
            } else {
                "messages"
            };
            let messages = body[turns].as_array_mut().unwrap();
            messages.splice(0..0, [earlier, answer]);
            let told = house.gateway.call(&ingress.call(&body).bearer(&house.key)).await;
            assert_eq!(told.status, 200, "{ingress:?}: {}", told.text());
            let sent = String::from_utf8_lossy(&house.upstream.last().body).into_owned();
            assert!(!sent.contains(&secret()), "{ingress:?}: {sent}");
            assert!(sent.contains("my key is [[SECRET:"), "{ingress:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn what_a_translation_loses_is_told_in_the_head_and_the_ledger() {
    let house = House::over(Speaks::Anthropic, |setup| setup).await;
    for stream in [false, true] {
        let body = json!({"model": MODEL, "stream": stream, "seed": 7, "temperature": 1.5,
            "messages": [{"role": "user", "content": "hello"}]});
        let call = Call::post("/v1/chat/completions", &body).bearer(&house.key);
        let answer = house.gateway.call(&call).await;
        assert_eq!(
            answer.header("x-tollgate-dropped"),
            Some("temperature, seed"),
            "{}",
            answer.text()
        );
        let row = &ended(&house.gateway, &answer.request_id()).await;
        assert!(
            row.values().any(|value| value.to_string().contains("seed")),
            "{row:?}"
        );
        assert_eq!(text(row, "upstream_dialect"), "anthropic_messages");
        // 25 new, 7 read from and 5 written to the cache, each counted once.
        let counted = [
            "input_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "output_tokens",
        ];
        assert_eq!(
            counted.map(|column| row[column].clone()),
            [json!(25), json!(7), json!(5), json!(15)]
        );
        let sent = house.upstream.last();
        assert_eq!(
            (sent.path(), sent.head.header("anthropic-version")),
            ("/v1/messages", Some("2023-06-01"))
        );
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_on_every_way_in() {
    for speaks in EVERYBODY {
        // Room for some records and no more.
        let house = House::over(speaks, |setup| setup.set("ledger", "max_bytes", "\"128 KiB\"")).await;
        let mut served = 0;
        for ingress in INGRESSES.into_iter().filter(|ingress| ingress.over == speaks) {
            let call = ingress.call(&ingress.body(MODEL, "hello")).bearer(&house.key);
            let refused = loop {
                let answer = house.gateway.call(&call).await;
                if answer.status != 200 {
                    break answer;
                }
                served += 1;
                assert!(served < 1_000, "128 KiB do not hold a thousand records");
            };
            assert_eq!(refused.status, 503, "{ingress:?}: {}", refused.text());
            let words = ["api_error", "audit_unavailable"];
            let word = words[usize::from(ingress.format != "anthropic_messages")];
            assert_eq!(ingress.error_word(&refused), word, "{ingress:?}");
            assert!(refused.text().contains("journal is full"), "{}", refused.text());
            assert!(refused.header("retry-after").is_some(), "{ingress:?}");
            assert_eq!(
                house.upstream.count(),
                served,
                "{ingress:?}: what cannot be recorded is not sent"
            );
        }
    }
}
