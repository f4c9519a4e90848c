//! A simulated model that follows the test's own script, behind the wire format of either vendor.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::setup::Setup;
use crate::support::upstream::{Received, Script, Upstream};
use crate::support::{anthropic_sim, openai_sim};

/// What a request asks, read the same from both wire formats.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many requests for an answer came before.
    pub earlier: usize,
    /// Every text of the user, in order.
    pub said: String,
    /// What tools returned, in order.
    pub results: Vec<String>,
}

/// What the simulated model does.
#[derive(Clone, Debug)]
pub enum Does {
    /// Answers with these blocks, written as Anthropic writes them.
    Says(Vec<Value>),
    /// Begins this answer, then reports that it is overloaded.
    Fails(Vec<Value>),
    /// Begins this answer, then breaks the connection inside an event.
    Dies(Vec<Value>),
    /// Refuses with an error of this status.
    Refuses(u16),
}

/// The two wire formats that an upstream may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions.
    OpenAi,
}

impl Vendor {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Anthropic, Self::OpenAi];

    /// The model as this vendor's upstream names it.
    pub const MODEL: &'static str = "model-of-the-upstream";

    /// Starts an upstream whose model does what `script` makes of each question.
    pub async fn play(self, script: impl Fn(&Asked) -> Does + Send + Sync + 'static) -> Upstream {
        let asked = AtomicUsize::new(0);
        Upstream::start(move |request| {
            if !matches!(request.path(), "/v1/messages" | "/v1/chat/completions") {
                return self.respond(request);
            }
            let body = request.json();
            let does = script(&read(&body, asked.fetch_add(1, Ordering::Relaxed)));
            match (self, does) {
                (Self::Anthropic, Does::Says(content)) => anthropic_sim::says(&body, &content),
                (Self::Anthropic, Does::Fails(content)) => {
                    anthropic_sim::fails(anthropic_sim::says(&body, &content))
                }
                (Self::Anthropic, Does::Dies(content)) => {
                    anthropic_sim::dies(anthropic_sim::says(&body, &content))
                }
                (Self::OpenAi, Does::Says(content)) => openai_sim::says(&body, &content),
                (Self::OpenAi, Does::Fails(content)) => openai_sim::fails(openai_sim::says(&body, &content)),
                (Self::OpenAi, Does::Dies(content)) => openai_sim::dies(openai_sim::says(&body, &content)),
                (Self::Anthropic, Does::Refuses(status)) => anthropic_sim::refuses(status),
                (Self::OpenAi, Does::Refuses(status)) => openai_sim::refuses(status),
            }
        })
        .await
    }

    fn respond(self, request: &Received) -> Script {
        match self {
            Self::Anthropic => anthropic_sim::respond(request),
            Self::OpenAi => openai_sim::respond(request),
        }
    }

    /// A gateway that sends every Claude model to this upstream, under another name.
    pub fn setup(self, upstream: &Upstream) -> Setup {
        let setup = match self {
            Self::Anthropic => Setup::new().upstream("sim", "anthropic", &upstream.url()),
            Self::OpenAi => Setup::new().upstream("sim", "openai", &format!("{}/v1", upstream.url())),
        };
        setup.route("claude-*", &["sim"], Some(Self::MODEL))
    }
}

fn read(body: &Value, earlier: usize) -> Asked {
    let messages = body["messages"].as_array().expect("a request has messages");
    let mut asked = Asked {
        earlier,
        said: String::new(),
        results: Vec::new(),
    };
    for message in messages {
        match message["role"].as_str() {
            Some("tool") => asked.results.push(text_of(&message["content"])),
            Some("user") => {
                asked.said.push_str(&text_of(&message["content"]));
                asked.said.push('\n');
                let blocks = message["content"].as_array().into_iter().flatten();
                let results = blocks.filter(|block| block["type"] == "tool_result");
                asked
                    .results
                    .extend(results.map(|block| text_of(&block["content"])));
            }
            _ => {}
        }
    }
    asked
}

/// The text of a content, whether it is a string or a list of blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
