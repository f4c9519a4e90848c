//! Properties of the rewriters: the cut does not matter, nothing panics, the grammar always holds.

use bytes::{Bytes, BytesMut};
use tollgate::dialect::openai::profile::{ChatProfile, ReasoningIn};
use tollgate::pipeline::translate::{AnswerContext, Ending, ErrorKind, Progress, Rewriter, messages_to_chat};
use tollgate::types::ids::ModelName;

use super::format::events::{check_grammar, decode};
use super::format::reduced::of_stream;
use super::format::transcript::{self, Transcript};
use super::run::rewrite;

/// A small seeded generator (xorshift64*), so that a failure can be repeated.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % limit
    }

    pub fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}

/// The same bytes, cut into pieces whose lengths are drawn below the limit.
pub fn recut(transcript: &Transcript, random: &mut Random, limit: usize) -> Transcript {
    let all = transcript.chunks.concat();
    let (mut chunks, mut rest) = (Vec::new(), all.as_slice());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((random.below(limit) + 1).min(rest.len()));
        chunks.push(piece.to_vec());
        rest = behind;
    }
    Transcript {
        chunks,
        ..transcript.clone()
    }
}

fn context(reasoning_in: Option<ReasoningIn>, request: &str) -> AnswerContext {
    let profile = ChatProfile {
        reasoning_in,
        ..ChatProfile::default()
    };
    messages_to_chat(request.as_bytes(), &ModelName::new("m"), &profile)
        .unwrap()
        .answer
}

const PLAIN: &str =
    r#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
const WATCHING: &str = r#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}],
    "thinking":{"type":"adaptive","display":"omitted"},"stop_sequences":["1","2","3","4","END","DB","ü"]}"#;

/// A stream of plausible and implausible chunks.
fn invent(random: &mut Random) -> Transcript {
    const DELTAS: [&str; 22] = [
        r#"{"content":"a"}"#,
        r#"{"content":"\n "}"#,
        r#"{"content":"EN"}"#,
        r#"{"content":"D\u00fc"}"#,
        r#"{"content":"<think>"}"#,
        r#"{"content":"x</thi"}"#,
        r#"{"content":"nk>"}"#,
        r#"{"content":"\ud83d"}"#,
        r#"{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"u"}]}"#,
        r#"{"reasoning_content":"r"}"#,
        r#"{"reasoning":"s","reasoning_content":"s"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b.c","function":{"name":"g","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":" "}}]}"#,
        r#"{"tool_calls":[{"id":"d","function":{"name":"h","arguments":{"k":[1.50]}}}]}"#,
        r#"{"tool_calls":[{"index":2,"function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":2,"id":"a","function":{"name":"f"}}]}"#,
        r#"{"tool_calls":"none","content":7}"#,
        "{}",
        "null",
    ];
    const ENDS: [&str; 8] = [
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3}}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
        "data: [DONE]\n\n",
        "data: {\"error\":{\"message\":\"m\",\"code\":503}}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\r\r",
        "data: {\"cho",
        "",
    ];
    let mut stream = String::new();
    for _ in 0..random.below(12) {
        let end = random.pick(&["\n\n", "\r\n\r\n", "\r\r", "\n: ping\n\n"]);
        let delta = random.pick(&DELTAS);
        let index = random.pick(&["", "\"index\":0,", "\"index\":1,"]);
        let choice = format!("{{{index}\"delta\":{delta},\"finish_reason\":null}}");
        stream.push_str(&format!("data: {{\"id\":\"x\",\"choices\":[{choice}]}}{end}"));
    }
    for _ in 0..random.below(4) {
        stream.push_str(random.pick(&ENDS));
    }
    let ending = if random.below(4) == 0 {
        transcript::Ending::Reset
    } else {
        transcript::Ending::Eof
    };
    Transcript {
        status: 200,
        headers: Vec::new(),
        chunks: vec![stream.into_bytes()],
        ending,
    }
}

#[test]
fn the_cut_of_a_stream_does_not_matter() {
    let contexts = [
        context(None, PLAIN),
        context(Some(ReasoningIn::ThinkTags), PLAIN),
        context(Some(ReasoningIn::ThinkTags), WATCHING),
        context(None, WATCHING),
    ];
    let mut random = Random::new(1);
    for round in 0..3000 {
        let transcript = invent(&mut random);
        let context = &contexts[round % contexts.len()];
        let shown = || String::from_utf8_lossy(&transcript.chunks.concat()).into_owned();
        let reduce = |transcript: &Transcript| {
            let (stream, rewriter, progress) = rewrite(context, transcript);
            // Half a surrogate pair passes as it came; for the comparison it becomes something readable.
            let stream = String::from_utf8(stream).unwrap().replace("\\ud83d", "?");
            let events = decode(stream.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
            check_grammar(&events).unwrap_or_else(|error| panic!("{error}\n{}\n{stream}", shown()));
            (of_stream(&events), rewriter.observed().clone(), progress)
        };
        let whole = reduce(&transcript);
        assert_eq!(reduce(&transcript.recut(1)), whole, "{}", shown());
        let cut = recut(&transcript, &mut random, 60);
        assert_eq!(reduce(&cut), whole, "{}", shown());
    }
}

#[test]
fn arbitrary_bytes_neither_panic_nor_break_the_grammar() {
    const PIECES: [&str; 16] = [
        "data: ",
        "event: error\n",
        "\n\n",
        "\r",
        "{\"choices\":[",
        "]}",
        "{\"delta\":{\"content\":\"x\"}}",
        "[DONE]",
        "\u{feff}",
        "null",
        "{",
        "<",
        "\u{2028}",
        ": c\n",
        "event: message_start\n",
        "{\"type\":\"message_stop\"}",
    ];
    let context = context(Some(ReasoningIn::ThinkTags), WATCHING);
    let mut random = Random::new(2);
    for round in 0..4000 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(30) {
            if random.below(6) == 0 {
                bytes.push(u8::try_from(random.below(256)).unwrap());
            } else {
                bytes.extend_from_slice(random.pick(&PIECES).as_bytes());
            }
        }
        let transcript = Transcript {
            status: 200,
            headers: Vec::new(),
            chunks: vec![bytes],
            ending: transcript::Ending::Eof,
        };
        let cut = recut(&transcript, &mut random, 9);
        let (stream, ..) = rewrite(&context, &cut);
        check_grammar(&decode(&stream).unwrap()).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

#[test]
fn pings_and_aborts_fit_in_everywhere() {
    let context = context(None, PLAIN);
    let mut random = Random::new(3);
    for _ in 0..500 {
        let transcript = invent(&mut random);
        let transcript = recut(&transcript, &mut random, 40);
        let mut rewriter = Rewriter::chat(context.clone(), "msg_test");
        let mut out = BytesMut::new();
        for chunk in &transcript.chunks {
            rewriter.ping(&mut out);
            rewriter.push(&Bytes::copy_from_slice(chunk), &mut out);
        }
        rewriter.abort(ErrorKind::Timeout, "too slow", &mut out);
        let ended = out.clone();
        rewriter.ping(&mut out);
        rewriter.abort(ErrorKind::Api, "again", &mut out);
        assert_ne!(
            rewriter.push(&Bytes::from_static(b"data: [DONE]\n\n"), &mut out),
            Progress::More
        );
        assert_ne!(rewriter.end(Ending::Eof, &mut out), Progress::More);
        assert_eq!(out, ended, "nothing is written after the end");
        let stream = String::from_utf8(out.to_vec()).unwrap().replace("\\ud83d", "?");
        check_grammar(&decode(stream.as_bytes()).unwrap()).unwrap();
    }
}

#[test]
fn what_is_held_is_bounded() {
    let mut rewriter = Rewriter::chat(context(None, PLAIN), "msg_test");
    let mut out = BytesMut::new();
    let text = "x".repeat(1 << 20);
    let piece = |index: usize| {
        let call = format!(
            r#"{{"index":{index},"id":"i{index}","function":{{"name":"f","arguments":"\"{text}"}}}}"#
        );
        Bytes::from(format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n"
        ))
    };
    // The first call is never complete, so that the second one must be held.
    assert_eq!(rewriter.push(&piece(0), &mut out), Progress::More);
    let failed = (0..64).any(|_| matches!(rewriter.push(&piece(1), &mut out), Progress::Failed(_)));
    assert!(failed, "a hidden call grows without end");

    let mut rewriter = Rewriter::messages(None);
    let line = Bytes::from(format!("id: {text}\n"));
    let failed = (0..64).any(|_| matches!(rewriter.push(&line, &mut out), Progress::Failed(_)));
    assert!(failed, "an event that never ends grows without end");
}
