//! The same governance on every way in: each stage has its say, streaming or not, over
//! every kind of upstream.

use serde_json::{Value, json};

use crate::support::bedrock_sim::unwrapped;
use crate::support::client::{Answer, Call};
use crate::support::columns::{COLUMNS, Column, Table};
use crate::support::records::{ended, rows_of, text};

/// One way in.
#[derive(Clone, Copy, Debug)]
struct Ingress {
    path: &'static str,
    streams: bool,
    /// The client's wire format, as the ledger names it.
    format: &'static str,
}

const fn ingress(path: &'static str, streams: bool, format: &'static str) -> Ingress {
    Ingress {
        path,
        streams,
        format,
    }
}

const INGRESSES: [Ingress; 8] = [
    ingress("/v1/messages", false, "anthropic_messages"),
    ingress("/v1/messages", true, "anthropic_messages"),
    ingress("/v1/messages/count_tokens", false, "anthropic_messages"),
    ingress("/v1/chat/completions", false, "openai_chat"),
    ingress("/v1/chat/completions", true, "openai_chat"),
    ingress("/v1/responses", false, "openai_responses"),
    ingress("/v1/responses", true, "openai_responses"),
    ingress("/v1/embeddings", false, "openai_embeddings"),
];

/// Every way in over every kind of upstream that can be asked so.
fn ways() -> impl Iterator<Item = (Ingress, &'static Column)> {
    let over = |ingress: Ingress| {
        let fits = move |column: &&Column| match ingress.path {
            "/v1/embeddings" => column.has("embeddings"),
            _ => true,
        };
        COLUMNS.iter().filter(fits).map(move |column| (ingress, column))
    };
    INGRESSES.into_iter().flat_map(over)
}

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
    fn with_power(self, model: &str) -> Value {
        let mut body = self.body(model, "hello");
        match self.path {
            "/v1/embeddings" => body["store"] = json!(true),
            "/v1/chat/completions" | "/v1/responses" => body["tools"] = json!([{"type": "code_interpreter"}]),
            _ => body["tools"] = json!([{"type": "code_execution_20250825", "name": "code_execution"}]),
        }
        body
    }

    /// A request that says twice, and differently, whether the model shall think: at the top, and inside.
    fn thinking_twice(self, model: &str) -> [Vec<u8>; 2] {
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
        let plain = self.body(model, "hello").to_string();
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

fn secret() -> String {
    ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()
}

/// What a stage says of a request that it stops: the stage, the request, status and the two families'
/// words.
fn stopped(ingress: Ingress, model: &str, key: &str) -> Vec<(&'static str, Call, u16, [&'static str; 2])> {
    let call = |body: &Value| ingress.call(body).bearer(key);
    let plain = ingress.body(model, "hello");
    let twice = plain
        .to_string()
        .replacen('{', &format!("{{\"model\":\"{model}\","), 1);
    let withheld = ingress.body("claude-opus-4-8", "hello");
    let secret = ingress.body(model, &format!("use {} for it", secret()));
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
            call(&ingress.body(model, &"x ".repeat(40_000))),
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
        ("policy: power", call(&ingress.with_power(model)), 403, policy),
    ]
}

#[tokio::test]
async fn every_stage_stops_what_it_must_on_every_way_in() {
    let table = Table::start(|setup| setup.set("server", "body_bytes_max", "\"64 KiB\"")).await;
    let mut requests = Vec::new();
    for (ingress, column) in ways() {
        let model = column.model();
        let ambiguous = ingress.thinking_twice(&model).map(|body| {
            let call = Call::post_bytes(ingress.path, body).bearer(&table.key);
            let words = ["invalid_request_error", "malformed"];
            ("inspect: thinking said twice", call, 400, words)
        });
        let stopped = stopped(ingress, &model, &table.key);
        for (stage, call, status, words) in stopped.into_iter().chain(ambiguous) {
            let answer = table.gateway.call(&call).await;
            let shown = format!("{ingress:?} over {}, {stage}: {}", column.name, answer.text());
            assert_eq!(answer.status, status, "{shown}");
            let word = words[usize::from(ingress.format != "anthropic_messages")];
            assert_eq!(ingress.error_word(&answer), word, "{shown}");
            assert!(!answer.text().contains(&secret()), "{shown}");
            if status != 401 {
                requests.push((shown, ingress, answer.request_id()));
            }
        }
    }
    for (shown, ingress, request) in requests {
        let row = &ended(&table.gateway, &request).await;
        assert_eq!(text(row, "outcome"), "denied", "{shown}");
        assert_eq!(text(row, "client_dialect"), ingress.format, "{shown}");
    }
    for (column, upstream) in table.columns() {
        assert_eq!(upstream.bytes().len(), 0, "nothing of it went to {}", column.name);
    }
}

/// The control of the test before: what is not stopped goes upstream, and every stage said so.
#[tokio::test]
async fn whatever_passes_is_decided_recorded_and_sent_with_our_credential() {
    let table = Table::start(|setup| setup).await;
    for (ingress, column) in ways() {
        let shown = format!("{ingress:?} over {}", column.name);
        let sent_before = table.upstream(column).count();
        let call = ingress
            .call(&ingress.body(&column.model(), "hello"))
            .bearer(&table.key);
        let answer = table.gateway.call(&call).await;
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        let is_stream = answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        assert_eq!(is_stream, ingress.streams, "{shown}");

        let request = answer.request_id();
        let row = &ended(&table.gateway, &request).await;
        assert_eq!(text(row, "outcome"), "complete", "{shown}: {row:?}");
        assert_eq!(text(row, "client_dialect"), ingress.format, "{shown}");
        let streamed = row["stream"] == 1 || row["stream"] == true;
        assert_eq!(streamed, ingress.streams, "{shown}");
        assert!(row["request_digest"].is_string(), "{shown}: {row:?}");
        if ingress.path != "/v1/messages/count_tokens" {
            assert!(row["input_tokens"].as_u64() > Some(0), "{shown}: {row:?}");
            assert_eq!(text(row, "cost_state"), "priced", "{shown}: {row:?}");
        }
        let decisions = rows_of(&table.gateway, "governance_decisions", &request).await;
        for stage in ["scope", "secrets", "policy"] {
            let passed = decisions
                .iter()
                .any(|row| text(row, "stage") == stage && text(row, "outcome") == "allow");
            assert!(passed, "{shown}: {stage} in {decisions:?}");
        }
        let estimated = ingress.path == "/v1/messages/count_tokens" && !column.has("counting");
        let sent = table.upstream(column).count() - sent_before;
        assert_eq!(sent, usize::from(!estimated), "{shown}");
        if !estimated {
            let (header, value) = column.credential;
            let shows = table
                .upstream(column)
                .last()
                .head
                .header(header)
                .map(str::to_owned);
            assert!(shows.is_some_and(|shown| shown.starts_with(value)), "{shown}");
        }
    }
    for (column, upstream) in table.columns() {
        let leaked = memchr::memmem::find(&upstream.bytes(), table.key.as_bytes());
        assert_eq!(leaked, None, "{}: the client's key stays here", column.name);
    }
}

#[tokio::test]
async fn the_rate_limit_counts_every_way_in() {
    // A burst of one: whichever way in comes first, the next one waits.
    let table = Table::start(|setup| setup.set("limits", "requests_per_minute", "2")).await;
    for (number, (ingress, column)) in ways().enumerate() {
        let call = ingress
            .call(&ingress.body(&column.model(), "hello"))
            .bearer(&table.key);
        let answer = table.gateway.call(&call).await;
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
    assert_eq!(table.count(), 1);
}

#[tokio::test]
async fn secrets_of_earlier_turns_are_taken_out_on_every_way_in() {
    let table = Table::start(|setup| setup).await;
    let talks = |ingress: Ingress, column: &Column| {
        let sent = ingress.path != "/v1/messages/count_tokens" || column.has("counting");
        sent && ingress.path != "/v1/embeddings"
    };
    for (ingress, column) in ways().filter(|&(ingress, column)| talks(ingress, column)) {
        let shown = format!("{ingress:?} over {}", column.name);
        let mut body = ingress.body(&column.model(), "hello");
        let earlier = json!({"role": "user", "content": format!("my key is {}", secret())});
        let answer = json!({"role": "assistant", "content": "I see."});
        let turns = if ingress.path == "/v1/responses" {
            "input"
        } else {
            "messages"
        };
        let messages = body[turns].as_array_mut().unwrap();
        messages.splice(0..0, [earlier, answer]);
        let told = table.gateway.call(&ingress.call(&body).bearer(&table.key)).await;
        assert_eq!(told.status, 200, "{shown}: {}", told.text());
        let sent = unwrapped(&table.upstream(column).last().body);
        assert!(!sent.contains(&secret()), "{shown}: {sent}");
        assert!(sent.contains("my key is [[SECRET:"), "{shown}: {sent}");
    }
}

#[tokio::test]
async fn what_a_translation_loses_is_told_in_the_head_and_the_ledger() {
    let table = Table::start(|setup| setup).await;
    let column = &COLUMNS[0];
    for stream in [false, true] {
        let body = json!({"model": column.model(), "stream": stream, "seed": 7, "temperature": 1.5,
            "messages": [{"role": "user", "content": "hello"}]});
        let call = Call::post("/v1/chat/completions", &body).bearer(&table.key);
        let answer = table.gateway.call(&call).await;
        assert_eq!(
            answer.header("x-tollgate-dropped"),
            Some("temperature, seed"),
            "{}",
            answer.text()
        );
        let row = &ended(&table.gateway, &answer.request_id()).await;
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
        let sent = table.upstream(column).last();
        assert_eq!(
            (sent.path(), sent.head.header("anthropic-version")),
            ("/v1/messages", Some("2023-06-01"))
        );
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_on_every_way_in() {
    // Room for some records and no more.
    let table = Table::start(|setup| setup.set("ledger", "max_bytes", "\"128 KiB\"")).await;
    let mut served = 0;
    let recorded = |(ingress, column): &(Ingress, &Column)| {
        ingress.path != "/v1/messages/count_tokens" || column.has("counting")
    };
    for (ingress, column) in ways().filter(recorded) {
        let call = ingress
            .call(&ingress.body(&column.model(), "hello"))
            .bearer(&table.key);
        let refused = loop {
            let answer = table.gateway.call(&call).await;
            if answer.status != 200 {
                break answer;
            }
            served += 1;
            assert!(served < 1_000, "128 KiB do not hold a thousand records");
        };
        let shown = format!("{ingress:?} over {}: {}", column.name, refused.text());
        assert_eq!(refused.status, 503, "{shown}");
        let words = ["api_error", "audit_unavailable"];
        let word = words[usize::from(ingress.format != "anthropic_messages")];
        assert_eq!(ingress.error_word(&refused), word, "{shown}");
        assert!(refused.text().contains("journal is full"), "{shown}");
        assert!(refused.header("retry-after").is_some(), "{shown}");
        assert_eq!(
            table.count(),
            served,
            "what cannot be recorded is not sent: {shown}"
        );
    }
}
