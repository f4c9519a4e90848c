//! What Bedrock wants otherwise in the body of a Messages request.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use crate::dialect::raw::{Members, Raw, put_string};
use crate::dialect::splice::Splice;
use crate::provider::betas::{Betas, asked};
use crate::provider::{Edits, Lost, Unfit};

/// The version of the Messages API on Bedrock.
const VERSION: &str = "bedrock-2023-05-31";

/// The beta without which Bedrock refuses `context_management`.
const CONTEXT_MANAGEMENT: &str = "context-management-2025-06-27";

/// Members that stand in the path or are written anew.
const REWRITTEN: [&str; 4] = ["model", "stream", "anthropic_version", "anthropic_beta"];

/// Members that Bedrock refuses and without which the answer means the same.
const REFUSED: [&str; 6] = [
    "service_tier",
    "inference_geo",
    "speed",
    "diagnostics",
    "user_profile_id",
    "workspace_id",
];

/// The edits that make a Messages request one of Bedrock; `known` are the betas that its
/// models take.
pub(super) fn edits(client: &HeaderMap, known: &Betas, body: &[u8]) -> Result<Edits, Unfit> {
    let text = std::str::from_utf8(body).map_err(|_| Unfit("the body is not UTF-8".to_owned()))?;
    let whole = Raw::read(text);
    let (Some(whole), Some(request)) = (whole, whole.and_then(Raw::members)) else {
        return Err(Unfit("the body is not a JSON object".to_owned()));
    };
    if !request.contains("messages") {
        return Err(Unfit("messages: a list is wanted".to_owned()));
    }
    for name in ["container", "mcp_servers"] {
        if request.get(name).is_some_and(|value| value.text() != "[]") {
            return Err(Unfit(format!(
                "{name}: the upstream of this model is Bedrock, which has none. Remove the field."
            )));
        }
    }
    let mut editor = Editor {
        text,
        edits: Edits::default(),
    };
    let betas = editor.betas(client, known, &request);
    let managed = betas.iter().any(|beta| beta == CONTEXT_MANAGEMENT);
    for (name, _) in request.iter() {
        if REFUSED.contains(&name) || (name == "context_management" && !managed) {
            editor.lost(name.to_owned(), "Bedrock refuses it");
        }
    }
    editor.edits.splices.push(Splice {
        range: editor.inside(whole).start..editor.inside(whole).start,
        with: versions(&betas),
    });
    editor.remove(whole, &request, |name| {
        REWRITTEN.contains(&name) || REFUSED.contains(&name) || (name == "context_management" && !managed)
    });
    editor.marks(&request);
    for list in ["system", "tools", "messages"] {
        editor.blocks(list, request.get(list), 0)?;
    }
    Ok(editor.edits)
}

/// The members that say what headers say elsewhere.
fn versions(betas: &[String]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(br#""anthropic_version":"#);
    put_string(&mut out, VERSION);
    if !betas.is_empty() {
        out.put_slice(br#","anthropic_beta":["#);
        for (index, beta) in betas.iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            put_string(&mut out, beta);
        }
        out.put_u8(b']');
    }
    // `messages` is still to come.
    out.put_u8(b',');
    out.freeze()
}

/// How deep blocks lie in one another: messages, their content, results, what results hold.
const DEPTH_MAX: u32 = 5;

struct Editor<'t> {
    text: &'t str,
    edits: Edits,
}

impl Editor<'_> {
    fn lost(&mut self, path: String, reason: &'static str) {
        self.edits.lost.push(Lost { path, reason });
    }

    /// The betas of header and body that Bedrock knows, by its own names, each once.
    fn betas(&mut self, client: &HeaderMap, known: &Betas, request: &Members<'_>) -> Vec<String> {
        let written = request.get("anthropic_beta").and_then(Raw::elements);
        let written = written.unwrap_or_default().into_iter().filter_map(Raw::string);
        let (taken, lost) = known.of(asked(client).into_iter().chain(written.map(Cow::into_owned)));
        self.edits.lost.extend(lost);
        taken
    }

    /// Where a value that was read from the text stands in it.
    fn place(&self, value: Raw<'_>) -> Range<usize> {
        value.place_in(self.text.as_bytes()).unwrap_or_default()
    }

    /// What lies between the braces of an object.
    fn inside(&self, object: Raw<'_>) -> Range<usize> {
        let place = self.place(object);
        place.start + 1..place.end.saturating_sub(1)
    }

    /// Removes members, each with the comma that belongs to it.
    fn remove(&mut self, object: Raw<'_>, members: &Members<'_>, is_gone: impl Fn(&str) -> bool) {
        let inside = self.inside(object);
        // Up to here everything stays; behind an unbroken run of members that go, the next begins.
        let (mut kept, mut gone) = (None, None);
        for (name, value) in members.iter() {
            let end = self.place(value).end;
            if is_gone(name) {
                gone = Some(end);
                continue;
            }
            if let Some(last) = gone.take() {
                self.cut(kept, last, &inside, true);
            }
            kept = Some(end);
        }
        if let Some(last) = gone {
            self.cut(kept, last, &inside, false);
        }
    }

    fn cut(&mut self, kept: Option<usize>, last: usize, inside: &Range<usize>, is_followed: bool) {
        let range = match (kept, is_followed) {
            (Some(kept), _) => kept..last,
            // The first members: the comma behind them goes, too.
            (None, true) => {
                let rest = self.text.get(last..inside.end).unwrap_or_default();
                inside.start..last + rest.find(',').map_or(0, |comma| comma + 1)
            }
            (None, false) => inside.clone(),
        };
        self.edits.splices.push(Splice {
            range,
            with: Bytes::new(),
        });
    }

    /// Takes out of the cache mark of an object what only Anthropic itself knows.
    fn marks(&mut self, block: &Members<'_>) {
        let Some(mark) = block.get("cache_control") else {
            return;
        };
        if let Some(members) = mark.members().filter(|members| members.contains("scope")) {
            self.remove(mark, &members, |name| name == "scope");
        }
    }

    /// Looks through blocks, and what lies in them, for marks and sources.
    fn blocks(&mut self, path: &str, list: Option<Raw<'_>>, depth: u32) -> Result<(), Unfit> {
        let listed = list.and_then(Raw::elements).unwrap_or_default();
        for (index, block) in listed.into_iter().enumerate() {
            let Some(block) = block.members() else { continue };
            let path = format!("{path}[{index}]");
            self.marks(&block);
            let source = block.members("source").and_then(|source| source.string("type"));
            if let Some(kind) = source.filter(|kind| matches!(kind.as_ref(), "url" | "file")) {
                return Err(Unfit(format!(
                    "{path}.source.type: Bedrock does not fetch `{kind}` sources; send the content as base64"
                )));
            }
            if depth < DEPTH_MAX {
                self.blocks(&format!("{path}.content"), block.get("content"), depth + 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::splice::apply;
    use crate::provider::registry::Registry;

    fn edited(betas: &str, body: &str) -> Result<(String, Vec<String>), String> {
        let mut client = HeaderMap::new();
        if !betas.is_empty() {
            client.insert("anthropic-beta", HeaderValue::from_str(betas).unwrap());
        }
        let registry = Registry::collect().unwrap();
        let known = registry.find("bedrock").unwrap().betas.clone().unwrap();
        let edits = edits(&client, &known.with("new-beta"), body.as_bytes()).map_err(|unfit| unfit.0)?;
        let edited = apply(&Bytes::copy_from_slice(body.as_bytes()), &edits.splices).unwrap();
        let edited = String::from_utf8(edited.to_vec()).unwrap();
        serde_json::from_str::<Value>(&edited).unwrap();
        Ok((edited, edits.lost.into_iter().map(|lost| lost.path).collect()))
    }

    #[test]
    fn the_model_goes_out_and_the_version_comes_in() {
        let version = r#""anthropic_version":"bedrock-2023-05-31","#;
        for (body, left) in [
            (r#"{"model":"m","messages":[ 1.0 ]}"#, r#""messages":[ 1.0 ]}"#),
            (r#"{"messages":[], "model" : "m" }"#, r#""messages":[] }"#),
            (
                r#"{"stream":true , "model":"m" ,"messages":[]}"#,
                r#""messages":[]}"#,
            ),
            (
                r#"{"messages":1,"model":"m","stream":false,"b":2}"#,
                r#""messages":1,"b":2}"#,
            ),
            (
                r#"{ "model":"m","messages":1,"anthropic_version":"2026-10-21"}"#,
                r#""messages":1}"#,
            ),
        ] {
            assert_eq!(
                edited("", body).unwrap(),
                (format!("{{{version}{left}"), vec![]),
                "{body}"
            );
        }
    }

    #[test]
    fn betas_are_filtered_renamed_and_reported() {
        let betas =
            "claude-code-20250219, interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20,new-beta";
        let body = r#"{"model":"m","messages":[],"anthropic_beta":["interleaved-thinking-2025-05-14"],"speed":"fast","context_management":{}}"#;
        let (body, lost) = edited(betas, body).unwrap();
        let sent: Value = serde_json::from_str(&body).unwrap();
        let known = json!([
            "interleaved-thinking-2025-05-14",
            "tool-search-tool-2025-10-19",
            "new-beta"
        ]);
        assert_eq!(sent["anthropic_beta"], known);
        assert_eq!(sent.as_object().unwrap().len(), 3, "{body}");
        assert_eq!(
            lost,
            [
                "anthropic-beta:claude-code-20250219",
                "speed",
                "context_management"
            ]
        );
        let managed = edited(CONTEXT_MANAGEMENT, r#"{"messages":[],"context_management":{}}"#).unwrap();
        assert!(managed.0.contains(r#""context_management":{}"#) && managed.1.is_empty());
    }

    #[test]
    fn marks_lose_what_only_anthropic_knows() {
        let mark = r#"{"type":"ephemeral","scope":"global"}"#;
        let body = format!(
            r#"{{"system":[{{"type":"text","text":"s","cache_control":{mark}}}],"tools":[{{"cache_control":{mark}}}],
                "messages":[{{"content":[{{"type":"tool_result","content":[{{"cache_control":{mark}}}]}}]}}]}}"#
        );
        let (sent, _) = edited("", &body).unwrap();
        assert!(!sent.contains("scope"), "{sent}");
        assert_eq!(sent.matches(r#"{"type":"ephemeral"}"#).count(), 3);
    }

    #[test]
    fn what_bedrock_cannot_do_is_refused_by_name() {
        let picture = |kind: &str| {
            format!(r#"{{"messages":[{{"content":[{{"type":"image","source":{{"type":"{kind}"}}}}]}}]}}"#)
        };
        let told = edited("", &picture("url")).unwrap_err();
        assert!(told.starts_with("messages[0].content[0].source.type: "), "{told}");
        assert!(edited("", &picture("base64")).is_ok());
        assert!(
            edited("", r#"{"messages":[],"container":"c"}"#)
                .unwrap_err()
                .starts_with("container: ")
        );
        assert!(edited("", "[]").is_err());
    }
}
