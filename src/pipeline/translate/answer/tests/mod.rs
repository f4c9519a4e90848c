//! Answers that the conversion vectors do not hold.

mod chat;
mod chat_bytes;
mod messages;
mod response_bytes;
mod told;

use bytes::{Bytes, BytesMut};

use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::{
    AnswerContext, ChatProfile, ErrorKind, Observed, Outcome, Rewriter, messages_to_chat,
};
use crate::types::ids::ModelName;

fn context() -> AnswerContext {
    let request = r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
    messages_to_chat(request.as_bytes(), &ModelName::new("up"), &ChatProfile::default())
        .unwrap()
        .answer
}

/// A rewriter and what it wrote.
struct Run {
    rewriter: Rewriter,
    out: BytesMut,
}

impl Run {
    fn chat() -> Self {
        Self {
            rewriter: Rewriter::chat(context(), "msg_1"),
            out: BytesMut::new(),
        }
    }

    fn messages(alias: Option<&str>) -> Self {
        Self {
            rewriter: Rewriter::messages(alias.map(ModelName::from)),
            out: BytesMut::new(),
        }
    }

    fn push(&mut self, chunk: &str) -> Progress {
        self.rewriter
            .push(&Bytes::copy_from_slice(chunk.as_bytes()), &mut self.out)
    }

    fn end(&mut self, ending: Ending) -> Progress {
        self.rewriter.end(ending, &mut self.out)
    }

    fn written(&mut self) -> String {
        String::from_utf8(self.out.split().to_vec()).unwrap()
    }

    fn observed(&self) -> &Observed {
        self.rewriter.observed()
    }
}

const START: &str = "event: message_start\ndata: {\"type\": \"message_start\",\"message\":{\"id\":\"msg_u\",\"model\" : \"claude-x-2026\",\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n";

#[test]
fn pings_are_comments_until_the_message_begins() {
    let mut run = Run::messages(None);
    run.rewriter.ping(&mut run.out);
    assert_eq!(run.written(), ": ping\n\n");
    run.push(&START[..START.len() - 1]);
    run.rewriter.ping(&mut run.out);
    assert_eq!(run.written(), ": ping\n\n");
    run.push("\n");
    run.rewriter.ping(&mut run.out);
    assert_eq!(
        run.written(),
        format!("{START}event: ping\ndata: {{\"type\":\"ping\"}}\n\n")
    );

    let mut run = Run::chat();
    run.rewriter.ping(&mut run.out);
    let written = run.written();
    assert!(written.starts_with("event: message_start\n") && written.ends_with("{\"type\":\"ping\"}\n\n"));
    run.push("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    assert!(!run.written().contains("message_start"));
}

#[test]
fn an_abort_is_told_once() {
    for mut run in [Run::chat(), Run::messages(None)] {
        run.rewriter.abort(ErrorKind::Timeout, "too slow", &mut run.out);
        assert_eq!(
            run.written(),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"too slow\"}}\n\n"
        );
        run.rewriter.abort(ErrorKind::Api, "again", &mut run.out);
        run.rewriter.ping(&mut run.out);
        assert_eq!(run.written(), "");
        assert!(
            matches!(&run.observed().outcome, Outcome::Failed(fault) if fault.kind == ErrorKind::Timeout)
        );
    }
}
