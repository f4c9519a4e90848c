//! What must hold for arbitrary bytes, one function for each parser of foreign bytes.
//!
//! The fuzz targets look for bytes that break it; `tests/it/fuzzed.rs` tries what they once found.

pub mod frames;

use std::path::Path;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;
use serde_json::Value;
use tollgate::config::read::from_text;
use tollgate::dialect::converse::answer::EVENTS;
use tollgate::dialect::openai::profile::{ChatProfile, ReasoningIn};
use tollgate::dialect::operation::Operation;
use tollgate::dialect::splice;
use tollgate::dialect::sse::{Decoder, Item};
use tollgate::pipeline::inspect::index::index as index_of;
use tollgate::pipeline::inspect::inspection::{Actions, inspect};
use tollgate::pipeline::inspect::memory::Memory;
use tollgate::pipeline::inspect::secrets::Detectors;
use tollgate::pipeline::translate::{
    AnswerContext, ChatBytes, CompletionName, Ending, Progress, Reader, ResponseBytes, ResponseName,
    Rewriter, Telling, chat_to_messages, count_to_gemini, messages_to_chat, messages_to_converse,
    messages_to_gemini, responses_to_messages,
};
use tollgate::provider::options::Options;
use tollgate::provider::registry::Registry;
use tollgate::provider::{Provider, Settings};
use tollgate::types::destination::Destination;
use tollgate::types::ids::ModelName;
use tollgate::types::secret::Secret;

use self::frames::frame;
use super::format::events::{check_grammar, decode};
use super::format::reduced::of_stream;
use super::format::responses;

/// Name and data of an event.
type Event = (Vec<u8>, Vec<u8>);

/// The decoder of event streams: the cuts don't matter, and it sees what the standard says.
pub fn sse(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    let whole = decoded(stream, stream.len().max(1));
    assert_eq!(
        whole,
        decoded(stream, usize::from(*cut).max(1)),
        "the cut matters"
    );
    assert_eq!(whole, by_the_standard(stream), "the standard sees other events");
}

fn decoded(stream: &[u8], size: usize) -> Vec<Event> {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for mut piece in stream.chunks(size) {
        while let Some(item) = decoder.next(&mut piece).expect("fuzzed streams are short") {
            if let Item::Event(event) = item {
                events.push((event.name.to_vec(), event.data.to_vec()));
            }
        }
    }
    let last = decoder.finish().expect("fuzzed streams are short");
    events.extend(last.map(|event| (event.name.to_vec(), event.data.to_vec())));
    events
}

/// WHATWG HTML, section 9.2.6, plainly; the unterminated last event counts.
fn by_the_standard(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    for (at, byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            _ => lines.last_mut().expect("there is one").push(*byte),
        }
    }
    lines.push(Vec::new());
    let (mut events, mut name, mut values) = (Vec::new(), Vec::new(), Vec::<Vec<u8>>::new());
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match &line[..colon] {
            b"data" => values.push(value),
            b"event" => name = value,
            [] if line.is_empty() => {
                let data = std::mem::take(&mut values).join(&b'\n');
                let name = std::mem::take(&mut name);
                if !data.is_empty() {
                    events.push((name, data));
                }
            }
            _ => {}
        }
    }
    events
}

static DETECTORS: LazyLock<Detectors> =
    LazyLock::new(|| Detectors::shipped().expect("the shipped rules are good"));

/// The request index: what it accepts is JSON, it reads the same model as any other reader, and its
/// splices leave JSON behind.
pub fn index(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for operation in Operation::ALL {
        let Ok(index) = index_of(&body, operation) else {
            continue;
        };
        assert_is_json(&body);
        if let Ok(value) = serde_json::from_slice::<Value>(&body) {
            assert_eq!(value["model"], index.model().as_str(), "another model");
            assert_eq!(value["stream"] == true, index.stream(), "a stream or not");
        }
        let renamed = index.model_splice(&ModelName::from("other \"model\""));
        let forced: Vec<_> = [index.usage_edit(), index.store_edit()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        assert_is_json(&splice::apply(&body, &forced).expect("forced fields have places"));
        let memory = Memory::new(&Secret::new([7; 32]));
        let inspection = inspect(index, &DETECTORS, &Actions::SHIPPED, &memory);
        assert_is_json(&splice::apply(&body, &[renamed]).expect("the model has a place"));
        let redacted = splice::apply(&body, inspection.splices()).expect("findings have places");
        assert_is_json(&redacted);
    }
}

/// Request translation: what comes out is JSON for the model that was named.
pub fn translate(data: &[u8]) {
    for reasoning_in in [None, Some(ReasoningIn::ThinkTags)] {
        let profile = ChatProfile {
            reasoning_in,
            ..ChatProfile::default()
        };
        if let Ok(chat) = messages_to_chat(data, &ModelName::from("upstream"), &profile) {
            assert_is_json(data);
            assert_is_json(&chat.body);
            if let Ok(sent) = serde_json::from_slice::<Value>(&chat.body) {
                assert_eq!(sent["model"], "upstream");
                assert!(sent["messages"].is_array());
            }
        }
    }
    translate_to_gemini(data);
    translate_to_converse(data);
    translate_back(data);
}

/// Requests to Converse: what comes out has roles in turn, users first, and as many results as calls.
fn translate_to_converse(data: &[u8]) {
    for model in ["amazon.nova-pro-v1:0", "meta.llama3-v1:0", "anthropic.claude-v1"] {
        let Ok(sent) = messages_to_converse(data, &ModelName::from(model)) else {
            continue;
        };
        assert_is_json(data);
        assert_is_json(&sent.body);
        let Ok(sent) = serde_json::from_slice::<Value>(&sent.body) else {
            continue;
        };
        let messages = sent["messages"].as_array().expect("a list of messages");
        let count = |message: Option<&Value>, kind: &str| {
            let blocks = message.and_then(|message| message["content"].as_array());
            let blocks = blocks.into_iter().flatten();
            blocks.filter(|block| block.get(kind).is_some()).count()
        };
        for (number, message) in messages.iter().enumerate() {
            assert_eq!(message["role"], ["user", "assistant"][number % 2], "in turn");
            let results = count(messages.get(number + 1), "toolResult");
            assert_eq!(count(Some(message), "toolUse"), results, "answered");
        }
        let blocks = messages
            .iter()
            .filter_map(|message| message["content"].as_array());
        let has_calls = blocks.flatten().any(|block| block.get("toolUse").is_some());
        assert!(!has_calls || sent.get("toolConfig").is_some(), "calls have tools");
    }
}

/// Requests to Gemini: what comes out has contents in turn, and as many results as calls.
fn translate_to_gemini(data: &[u8]) {
    let model = ModelName::from("gemini-3-pro");
    if let Ok((body, _)) = count_to_gemini(data, &model) {
        assert_is_json(&body);
    }
    let Ok(sent) = messages_to_gemini(data, &model) else {
        return;
    };
    assert_is_json(data);
    assert_is_json(&sent.body);
    let Ok(sent) = serde_json::from_slice::<Value>(&sent.body) else {
        return;
    };
    let contents = sent["contents"].as_array().expect("a list of contents");
    let count = |content: &Value, kind: &str| {
        let parts = content["parts"].as_array().expect("a list of parts");
        parts.iter().filter(|part| part.get(kind).is_some()).count()
    };
    for pair in contents.windows(2) {
        assert!(pair[0]["role"] != "user" || pair[1]["role"] == "model", "in turn");
        assert_eq!(
            count(&pair[0], "functionCall"),
            count(&pair[1], "functionResponse"),
            "answered"
        );
    }
}

/// The other direction: what comes out is a Messages request for the model that was named, or one that
/// can be translated once more.
fn translate_back(data: &[u8]) {
    let model = ModelName::from("upstream");
    for reader in [Reader::Upstream(&model), Reader::Translation] {
        let chat = chat_to_messages(data, reader).map(|sent| sent.body);
        let responses = responses_to_messages(data, reader).map(|sent| sent.body);
        for body in [chat, responses].into_iter().flatten() {
            assert_is_json(data);
            assert_is_json(&body);
            let Ok(sent) = serde_json::from_slice::<Value>(&body) else {
                continue;
            };
            if matches!(reader, Reader::Upstream(_)) {
                assert_eq!(sent["model"], "upstream");
                assert!(sent["max_tokens"].is_u64());
            }
            let turns = sent["messages"].as_array().expect("a list of turns");
            let roles: Vec<_> = turns.iter().map(|turn| &turn["role"]).collect();
            assert_eq!(
                roles.first().map(|role| *role == "user"),
                Some(true),
                "users begin"
            );
            assert!(
                roles.windows(2).all(|pair| pair.first() != pair.last()),
                "in turn"
            );
            if let Ok(chat) = messages_to_chat(&body, &model, &ChatProfile::default()) {
                assert_is_json(&chat.body);
            }
        }
    }
}

/// What [`index`] and [`translate`] accept or make is JSON; numbers beyond every machine's are, too.
fn assert_is_json(bytes: &[u8]) {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        let shown = String::from_utf8_lossy(bytes);
        assert!(
            error.to_string().contains("recursion limit"),
            "no JSON ({error}): {shown}"
        );
    }
}

const PLAIN: &str =
    r#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
const WATCHING: &str = r#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}],
    "thinking":{"type":"adaptive","display":"omitted"},"stop_sequences":["1","END","ü"]}"#;

/// Answers, passed and translated: the cut does not matter, and what comes out is well-formed.
pub fn stream(data: &[u8]) {
    let [cut, options, stream @ ..] = data else { return };
    let size = usize::from(*cut).max(1);
    let request = if options & 1 == 0 { PLAIN } else { WATCHING };
    let reasoning_in = (options & 2 != 0).then_some(ReasoningIn::ThinkTags);
    let profile = ChatProfile {
        reasoning_in,
        ..ChatProfile::default()
    };
    let chat = messages_to_chat(request.as_bytes(), &ModelName::from("m"), &profile);
    let context = chat.unwrap_or_else(|_| panic!("our own request is good")).answer;
    let translated = |size| {
        let (out, progress) = rewritten(Rewriter::chat(context.clone(), "msg_1"), stream, size);
        let out = without_halves(&out);
        let events = decode(out.as_bytes()).unwrap_or_else(|error| panic!("{error}: {out}"));
        check_grammar(&events).unwrap_or_else(|error| panic!("{error}: {out}"));
        (of_stream(&events), progress)
    };
    assert_eq!(
        translated(stream.len().max(1)),
        translated(size),
        "the cut matters"
    );

    let (out, progress) = rewritten(Rewriter::messages(None), stream, size);
    let (whole, _) = rewritten(Rewriter::messages(None), stream, stream.len().max(1));
    // The LF of the last CRLF may come when the stream is over already.
    let lines = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .replace("\r\n", "\n")
            .replace('\r', "\n")
    };
    assert_eq!(lines(&out), lines(&whole), "the cut matters");
    if progress == Progress::Finished {
        let passed = out.trim_ascii_end();
        assert_eq!(stream.get(..passed.len()), Some(passed), "bytes pass as they are");
    }
    stream_of_gemini(data);
    stream_of_converse(data);
    stream_of_chunks(data);
    stream_of_responses(data, &context);
}

/// The same for clients of the Responses API, over every kind of upstream.
fn stream_of_responses(data: &[u8], source: &AnswerContext) {
    let [cut, _, stream @ ..] = data else { return };
    let asked = br#"{"model":"c","stream":true,"input":"x","tools":[{"type":"custom","name":"n"},
        {"type":"namespace","name":"a","tools":[{"type":"function","name":"b"}]}]}"#;
    let sent = responses_to_messages(asked, Reader::Translation);
    let context = sent.unwrap_or_else(|_| panic!("our own request is good")).answer;
    let told = |source: Rewriter, size| {
        let name = ResponseName {
            id: "0".to_owned(),
            created: 1,
        };
        let rewriter = source.told(Telling::response(context.clone(), name));
        let (out, progress) = rewritten(rewriter, stream, size);
        let out = without_halves(&out);
        let response = responses::of_stream(out.as_bytes());
        let response = response.unwrap_or_else(|error| panic!("{error}: {out}"));
        assert_eq!(
            response.get("error").is_none(),
            progress == Progress::Finished,
            "{out}"
        );
        (response, progress)
    };
    let sources: [fn(&AnswerContext) -> Rewriter; 4] = [
        |_| Rewriter::messages(None),
        |context| Rewriter::chat(context.clone(), "msg_1"),
        |context| Rewriter::gemini(context.clone(), "msg_1"),
        |context| Rewriter::converse(context.clone(), "msg_1"),
    ];
    for made in sources {
        let cut = told(made(source), usize::from(*cut).max(1));
        assert_eq!(cut, told(made(source), stream.len().max(1)), "the cut matters");
    }
}

/// The same for answers of Gemini.
fn stream_of_gemini(data: &[u8]) {
    let [cut, options, stream @ ..] = data else { return };
    let sizes = [usize::from(*cut).max(1), stream.len().max(1)];
    let request = if options & 1 == 0 { PLAIN } else { WATCHING };
    let sent = messages_to_gemini(request.as_bytes(), &ModelName::from("gemini-3-pro"));
    let context = sent.unwrap_or_else(|_| panic!("our own request is good")).answer;
    let [cut, whole] = sizes.map(|size| {
        let (out, progress) = rewritten(Rewriter::gemini(context.clone(), "msg_1"), stream, size);
        let out = without_halves(&out);
        let events = decode(out.as_bytes()).unwrap_or_else(|error| panic!("{error}: {out}"));
        check_grammar(&events).unwrap_or_else(|error| panic!("{error}: {out}"));
        (of_stream(&events), progress)
    });
    assert_eq!(cut, whole, "the cut matters");
}

/// The same for frames of Bedrock: as they come, and with these bytes as the payload of each of its events.
fn stream_of_converse(data: &[u8]) {
    const KIND: &str = "application/vnd.amazon.eventstream";
    let [cut, options, stream @ ..] = data else { return };
    let size = usize::from(*cut).max(1);
    let request = if options & 1 == 0 { PLAIN } else { WATCHING };
    let sent = messages_to_converse(request.as_bytes(), &ModelName::from("meta.llama3-v1:0"));
    let context = sent.unwrap_or_else(|_| panic!("our own request is good")).answer;
    let told = |stream: &[u8], size: usize| {
        let mut frames = BEDROCK.frames(KIND).expect("Bedrock has frames");
        let (mut events, mut is_whole) = (Vec::new(), true);
        for piece in stream.chunks(size.max(1)) {
            match frames.push(&Bytes::copy_from_slice(piece)) {
                Ok(taken) => events.extend_from_slice(&taken),
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        let (out, progress) = rewritten(
            Rewriter::converse(context.clone(), "msg_1"),
            &events,
            events.len().max(1),
        );
        let out = without_halves(&out);
        let told = decode(out.as_bytes()).unwrap_or_else(|error| panic!("{error}: {out}"));
        check_grammar(&told).unwrap_or_else(|error| panic!("{error}: {out}"));
        (of_stream(&told), progress, is_whole && frames.is_at_border())
    };
    assert_eq!(told(stream, size), told(stream, stream.len()), "the cut matters");
    let lines = stream.split(|byte| *byte == b'\n').zip(EVENTS.iter().cycle());
    let framed: Vec<u8> = lines
        .flat_map(|(payload, name)| frame("event", name, payload))
        .collect();
    assert_eq!(
        told(&framed, size),
        told(&framed, framed.len()),
        "the cut matters"
    );
}

/// A Bedrock that is reached nowhere.
static BEDROCK: LazyLock<Box<dyn Provider>> = LazyLock::new(|| {
    let registry = Registry::collect().expect("the providers fit together");
    let declaration = registry.find("bedrock").expect("there is Bedrock");
    let written = [("region".to_owned(), "eu-central-1".to_owned())].into();
    let settings = Settings {
        endpoint: Destination::parse("https://upstream.example").expect("an address"),
        key: None,
        lending: None,
        options: Options::new(&declaration.options, &written).expect("all that it wants"),
    };
    registry.open(declaration, &settings).expect("it opens")
});

/// The same for clients of chat completions.
fn stream_of_chunks(data: &[u8]) {
    let [cut, options, stream @ ..] = data else { return };
    let sizes = [usize::from(*cut).max(1), stream.len().max(1)];
    let asked: &[u8] = if options & 1 == 0 {
        br#"{"model":"c","stream":true,"messages":[{"role":"user","content":"x"}]}"#
    } else {
        br#"{"model":"c","stream":true,"messages":[{"role":"user","content":"x"}],"stream_options":{"include_usage":true}}"#
    };
    let sent = chat_to_messages(asked, Reader::Upstream(&ModelName::from("m")));
    let context = sent.unwrap_or_else(|_| panic!("our own request is good")).answer;
    let name = CompletionName {
        id: "chatcmpl-1".to_owned(),
        created: 1,
    };
    let [cut, whole] = sizes.map(|size| {
        let telling = Telling::completion(context.clone(), &name);
        rewritten(Rewriter::messages(None).told(telling), stream, size)
    });
    assert_eq!(cut, whole, "the cut matters");
    let told = without_halves(&cut.0);
    let data = told.lines().filter_map(|line| line.strip_prefix("data: "));
    for data in data.filter(|data| *data != "[DONE]") {
        assert_is_json(data.as_bytes());
    }
    assert_eq!(
        told.ends_with("data: [DONE]\n\n"),
        cut.1 == Progress::Finished,
        "{told}"
    );

    let plan = ChatBytes {
        alias: (options & 2 != 0).then(|| ModelName::from("alias")),
        withhold_usage: options & 4 != 0,
        choices: u64::from(options & 8 != 0) + 1,
        input_tokens: 0,
    };
    let lines = |(out, progress): (BytesMut, Progress)| {
        let text = String::from_utf8_lossy(&out)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        (text.trim_end().to_owned(), progress)
    };
    let [cut, whole] = sizes.map(|size| lines(rewritten(Rewriter::chat_bytes(plan.clone()), stream, size)));
    assert_eq!(cut, whole, "the cut matters");
    let plan = ResponseBytes {
        alias: plan.alias,
        input_tokens: 0,
    };
    let [cut, whole] =
        sizes.map(|size| lines(rewritten(Rewriter::response_bytes(plan.clone()), stream, size)));
    assert_eq!(cut, whole, "the cut matters");
}

fn rewritten(mut rewriter: Rewriter, stream: &[u8], size: usize) -> (BytesMut, Progress) {
    let mut out = BytesMut::new();
    for piece in stream.chunks(size) {
        let progress = rewriter.push(&Bytes::copy_from_slice(piece), &mut out);
        if progress != Progress::More {
            return (out, progress);
        }
    }
    let progress = rewriter.end(Ending::Eof, &mut out);
    assert_ne!(progress, Progress::More, "the end is the end");
    (out, progress)
}

/// The stream with every escaped surrogate replaced: half a pair passes as it came, and strict readers
/// would not see the rest.
fn without_halves(stream: &[u8]) -> String {
    let text = String::from_utf8(stream.to_vec()).expect("what clients get is UTF-8");
    let mut readable = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        readable.push_str(before);
        let is_half = escape.get(..4).is_some_and(|start| {
            matches!(
                start.to_ascii_lowercase().as_str(),
                r"\ud8" | r"\ud9" | r"\uda" | r"\udb" | r"\udc" | r"\udd" | r"\ude" | r"\udf"
            )
        });
        let width = if is_half { 6 } else { 2 };
        readable.push_str(if is_half {
            "?"
        } else {
            escape.get(..2).unwrap_or(escape)
        });
        rest = escape.get(width..).unwrap_or_default();
    }
    readable + rest
}

/// The configuration: it is read, or every mistake has a line of the text and says something.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(mistakes) = from_text(text, Path::new("fuzz.toml"), None) {
        assert!(!mistakes.0.is_empty(), "refused without a reason");
        for mistake in &mistakes.0 {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&mistake.line), "{mistake}");
            assert!(!mistake.message.is_empty(), "{mistake:?}");
        }
    }
}
