//! The simulated upstream of `tollgate demo`: speaks Anthropic Messages, knows nothing.
//!
//! Every answer says that it is simulated. It listens on a loopback port of its own, so the demo's
//! requests take the whole governed path, connection included.

use std::convert::Infallible;
use std::net::TcpListener;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::pipeline::translate::answer::tally;

/// The pause between two pieces of a streamed answer.
const PACE: Duration = Duration::from_millis(20);

/// Serves until `stop` turns true.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}

async fn count_tokens(body: Bytes) -> Json<Value> {
    Json(json!({"input_tokens": tokens(body.len())}))
}

async fn messages(body: Bytes) -> Result<Response<Body>, StatusCode> {
    let request: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let model = request
        .get("model")
        .and_then(Value::as_str)
        .unwrap_or("simulated")
        .to_owned();
    let text = answer(&request);
    let usage = json!({"input_tokens": tokens(body.len()), "output_tokens": tokens(text.len())});
    let streamed = request.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let (kind, body) = if streamed {
        ("text/event-stream", stream(&model, &text, &usage))
    } else {
        let message = json!({
            "id": "msg_simulated", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage,
        });
        ("application/json", Body::from(message.to_string()))
    };
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .body(body)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// What the simulation says: that it is one, and how much it was asked.
fn answer(request: &Value) -> String {
    let messages = request
        .get("messages")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let tools = request.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
    format!(
        "This is a simulated answer: no model was asked. Your request came through Tollgate with \
         {messages} message(s) and {tools} tool(s); it was identified, inspected, decided and \
         recorded. Set ANTHROPIC_API_KEY or OPENAI_API_KEY and start the demo again to talk to a real model."
    )
}

fn stream(model: &str, text: &str, usage: &Value) -> Body {
    let start = json!({"type": "message_start", "message": {
        "id": "msg_simulated", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": usage.get("input_tokens"), "output_tokens": 1},
    }});
    let open =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let words = text.split_inclusive(' ').map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    });
    let close = json!({"type": "content_block_stop", "index": 0});
    let end = json!({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": usage.get("output_tokens")},
    });
    let events: Vec<Value> = [start, open]
        .into_iter()
        .chain(words)
        .chain([close, end, json!({"type": "message_stop"})])
        .collect();
    let paced = futures_util::stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(PACE).await;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        Some((
            Ok::<_, Infallible>(format!("event: {kind}\ndata: {event}\n\n")),
            events,
        ))
    });
    Body::from_stream(paced)
}

/// By the gateway's own rule, so that a simulated answer costs what it was estimated to.
fn tokens(bytes: usize) -> u64 {
    tally::tokens(tally::size(bytes))
}
