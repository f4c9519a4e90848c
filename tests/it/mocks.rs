//! The simulations themselves: a test that leans on them must be able to trust them.

use serde_json::json;

use crate::support::client::{Call, Connection};
use crate::support::upstream::{self, Ending, Gate, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::within;
use crate::support::{anthropic_sim, openai_sim, sse};

async fn open(upstream: &Upstream) -> Connection {
    let address = upstream.url().trim_start_matches("http://").parse().unwrap();
    Connection::open(address).await
}

fn ask(target: &str, text: &str, stream: bool) -> Call {
    let messages = json!([{"role": "user", "content": text}]);
    let body = json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": messages,
        "stream_options": {"include_usage": true}});
    Call::post(target, &body)
}

#[tokio::test]
async fn scripts_are_played_in_order_and_every_byte_is_recorded() {
    let gate = Gate::new();
    let slow = vec![
        stream_head(&[]),
        chunk(b"data: 1\n\n"),
        Step::Wait(gate.clone()),
        chunk(b"data: 2\n\n"),
        end(),
    ];
    let upstream = Upstream::scripted([slow, upstream::json(503, &json!({})), vec![Step::Reset]]).await;

    let mut stream = open(&upstream)
        .await
        .open_stream(&Call::post_bytes("/a?b", b"xyz".to_vec()).chunked(2))
        .await;
    assert_eq!(stream.event().await.unwrap().data, "1");
    gate.open();
    assert_eq!(stream.event().await.unwrap().data, "2");
    assert!(stream.event().await.is_none());
    assert_eq!(
        (upstream.last().path(), upstream.last().body),
        ("/a", b"xyz".to_vec())
    );

    let mut connection = open(&upstream).await;
    assert_eq!(connection.call(&Call::new("GET", "/")).await.status, 503);
    connection.send(&Call::new("GET", "/").head_bytes()).await;
    assert!(
        connection.answer("GET").await.is_none(),
        "the third script resets"
    );
    assert_eq!((upstream.count(), upstream.connections()), (3, 2));
    assert!(upstream.bytes().windows(8).any(|bytes| bytes == b"xyzGET /"));
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed() {
    let upstream = Upstream::scripted([vec![stream_head(&[]), Step::Hang]]).await;
    let stream = open(&upstream).await.open_stream(&Call::new("GET", "/")).await;
    assert_eq!(upstream.requests()[0].ending, Ending::Running);
    stream.reset();
    assert_eq!(within("the ending", upstream.ending(0)).await, Ending::PeerLeft);
}

#[tokio::test]
async fn broken_answers_are_told_from_whole_ones() {
    let half = vec![stream_head(&[]), chunk(b"data: 1\n"), Step::Close];
    let upstream = Upstream::scripted([half]).await;
    let mut stream = open(&upstream).await.open_stream(&Call::new("GET", "/")).await;
    assert!(stream.piece().await.unwrap().is_some());
    assert!(stream.piece().await.is_err());
}

#[tokio::test]
async fn the_simulated_anthropic_follows_the_grammar() {
    let sim = anthropic_sim::start().await;
    for (wish, kinds) in [
        ("hi", "text"),
        ("sim:tool", "text tool_use"),
        ("sim:parallel", "tool_use tool_use"),
        ("sim:thinking", "thinking text"),
    ] {
        let whole = open(&sim)
            .await
            .call(&ask("/v1/messages", wish, false))
            .await
            .json();
        let found: Vec<_> = whole["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        assert_eq!(found.join(" "), kinds);

        let events = open(&sim)
            .await
            .call(&ask("/v1/messages", wish, true))
            .await
            .events();
        assert!(
            events
                .iter()
                .all(|event| event.json()["type"] == event.name.as_str())
        );
        assert_eq!(events.first().unwrap().name, "message_start");
        assert_eq!(events.last().unwrap().name, "message_stop");
        let starts = events
            .iter()
            .filter(|event| event.name == "content_block_start")
            .count();
        assert_eq!(starts, found.len());
    }
    let broken = open(&sim)
        .await
        .call(&ask("/v1/messages", "sim:mid-error", true))
        .await
        .events();
    assert_eq!(broken.last().unwrap().name, "error");
    let busy = open(&sim)
        .await
        .call(&ask("/v1/messages", "sim:status-529", false))
        .await;
    assert_eq!(
        (busy.status, busy.error_type()),
        (529, "overloaded_error".to_owned())
    );
}

#[tokio::test]
async fn the_simulated_openai_streams_what_it_says_whole() {
    let sim = openai_sim::start().await;
    let whole = open(&sim)
        .await
        .call(&ask("/v1/chat/completions", "sim:parallel", false))
        .await
        .json();
    let whole_calls = &whole["choices"][0]["message"]["tool_calls"];
    let streamed = open(&sim)
        .await
        .call(&ask("/v1/chat/completions", "sim:parallel", true))
        .await;
    let mut arguments = [String::new(), String::new()];
    for event in streamed.events() {
        for call in event.json()["choices"][0]["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    for (index, text) in arguments.iter().enumerate() {
        assert_eq!(whole_calls[index]["function"]["arguments"], text.as_str());
    }
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
    assert!(streamed.text().contains("\"prompt_tokens\":37"));
}

#[test]
fn events_do_not_depend_on_cuts() {
    let body = b"event: a\r\ndata: 1\r\ndata: 2\r\n\r\n: note\n\ndata: [DONE]\n\n";
    let whole = sse::events(body);
    assert_eq!(whole.len(), 2);
    assert_eq!((whole[0].name.as_str(), whole[0].data.as_str()), ("a", "1\n2"));
    let mut reader = sse::EventReader::default();
    let cut: Vec<_> = body.iter().flat_map(|byte| reader.push(&[*byte])).collect();
    assert_eq!(cut, whole);
}
