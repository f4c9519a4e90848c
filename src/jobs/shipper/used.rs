//! What changes the price of an answer beside its tokens, as a row shows it.

use serde::Serialize;

use crate::types::usage::Usage;

/// What else an answer used, or how, that changes its price; nothing where it is as usual.
pub(super) fn detail(usage: &Usage) -> Option<String> {
    #[derive(Default, PartialEq, Serialize)]
    struct Detail {
        #[serde(skip_serializing_if = "Option::is_none")]
        audio_input_tokens: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        audio_output_tokens: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        web_searches: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        web_fetches: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_searches: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code_runs: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        speed: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        inference_geo: Option<&'static str>,
    }
    let some = |count: u64| (count > 0).then_some(count);
    let detail = Detail {
        audio_input_tokens: some(usage.audio_input),
        audio_output_tokens: some(usage.audio_output),
        web_searches: some(usage.server_tools.web_search),
        web_fetches: some(usage.server_tools.web_fetch),
        file_searches: some(usage.server_tools.file_search),
        code_runs: some(usage.server_tools.code_run),
        speed: usage.terms.fast.then_some("fast"),
        inference_geo: usage.terms.us_only.then_some("us"),
    };
    (detail != Detail::default()).then(|| serde_json::to_string(&detail).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::usage::{ServerTools, ServiceTier, Terms};

    #[test]
    fn only_what_is_unusual_is_shown() {
        let tokens = Usage {
            input: 5,
            terms: Terms {
                tier: ServiceTier::Flex,
                ..Terms::default()
            },
            ..Usage::default()
        };
        assert_eq!(detail(&tokens), None);
        let unusual = Usage {
            audio_output: 7,
            server_tools: ServerTools {
                web_search: 2,
                ..ServerTools::default()
            },
            terms: Terms {
                us_only: true,
                ..Terms::default()
            },
            ..tokens
        };
        let shown = r#"{"audio_output_tokens":7,"web_searches":2,"inference_geo":"us"}"#;
        assert_eq!(detail(&unusual).as_deref(), Some(shown));
    }
}
