//! A scenario: a folder with the files that the README names.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::transcript::Transcript;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// `case.json`.
    pub settings: Value,
    /// The body that the client sends.
    pub request: Value,
    /// The same as it stands in the file.
    pub request_text: String,
    /// The pattern of the body that the upstream must receive.
    pub upstream_request: Value,
    /// What the upstream answers to a streaming request.
    pub transcript: Transcript,
    /// The data of the events that the client must receive; none where clients do not speak Messages.
    pub events: Vec<Value>,
    /// The message that they add up to.
    pub message: Value,
    /// What the upstream answers to a request that asks for no stream.
    pub upstream_response: Option<Value>,
}

impl Case {
    /// A setting of the provider.
    pub fn provider(&self, key: &str) -> Option<&Value> {
        self.settings.get("provider")?.get(key)
    }

    /// The name that the upstream is asked for.
    pub fn upstream_model(&self) -> &str {
        self.provider("upstream_model")
            .or_else(|| self.settings.get("upstream_model"))
            .and_then(Value::as_str)
            .unwrap_or("model")
    }

    /// A list of strings in `case.json`.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let list = self.settings.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A switch in `case.json`.
    pub fn switch(&self, key: &str) -> bool {
        self.settings.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The request without streaming.
    pub fn unstreamed_request(&self) -> Value {
        let mut request = self.request.clone();
        request["stream"] = Value::Bool(false);
        if let Some(request) = request.as_object_mut() {
            request.shift_remove("stream_options");
        }
        request
    }

    /// What the client speaks: `messages`, `chat_completions` or `responses`.
    pub fn client(&self) -> &str {
        self.settings
            .get("client")
            .and_then(Value::as_str)
            .unwrap_or("messages")
    }

    /// What the upstream speaks: `chat_completions`, `messages` or `gemini`.
    pub fn upstream(&self) -> &str {
        let is_gemini = self
            .provider("dialect")
            .is_some_and(|dialect| dialect == "gemini");
        let upstream = self.settings.get("upstream").and_then(Value::as_str);
        upstream.unwrap_or(if is_gemini { "gemini" } else { "chat_completions" })
    }

    /// What the upstream must receive then.
    pub fn unstreamed_upstream_request(&self) -> Value {
        let mut request = self.upstream_request.clone();
        if let Some(request) = request.as_object_mut() {
            // Patterns bind names in their order, which must not change.
            request.shift_remove("stream");
            request.shift_remove("stream_options");
        }
        request
    }

    fn load(folder: &Path) -> Result<Self, String> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let json = |name: &str| -> Result<Value, String> {
            serde_json::from_str(&text(name)?)
                .map_err(|error| format!("{}/{name}: {error}", folder.display()))
        };
        let events = if folder.join("expected_events.json").exists() {
            json("expected_events.json")?
        } else {
            Value::Array(Vec::new())
        };
        let events = events.as_array().ok_or("expected_events.json is no list")?;
        Ok(Self {
            name: folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            settings: json("case.json")?,
            request: json("request.json")?,
            request_text: text("request.json")?,
            upstream_request: json("upstream_request.json")?,
            transcript: Transcript::read(&text("upstream_stream.txt")?)?,
            events: events.iter().map(|event| event["data"].clone()).collect(),
            message: json("expected_message.json")?,
            upstream_response: if folder.join("upstream_response.json").exists() {
                Some(json("upstream_response.json")?)
            } else {
                None
            },
        })
    }
}

/// All scenarios below a folder, in the order of their names.
pub fn load_all(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.join("case.json").exists());
    folders.sort();
    folders.iter().map(|folder| Case::load(folder)).collect()
}
