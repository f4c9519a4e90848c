//! `usageMetadata`.

use crate::dialect::raw::{Members, Raw};
use crate::types::usage::Usage;

/// The usage that an answer, or an event of its stream, tells. Counts are totals, never increments.
///
/// `promptTokenCount` includes what came from the cache; `candidatesTokenCount` excludes thinking.
pub fn find(answer: &Members<'_>) -> Option<Usage> {
    let told = answer.members("usageMetadata")?;
    let count = |name| told.count(name).unwrap_or(0);
    let cached = count("cachedContentTokenCount");
    let prompt = count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount"));
    let thinking = count("thoughtsTokenCount");
    Some(Usage {
        input: prompt.saturating_sub(cached),
        output: count("candidatesTokenCount").saturating_add(thinking),
        cache_read: cached,
        thinking,
        audio_input: sound(&told, "promptTokensDetails"),
        audio_output: sound(&told, "candidatesTokensDetails"),
        ..Usage::default()
    })
}

/// The tokens of sound in a list of modalities.
fn sound(told: &Members<'_>, details: &str) -> u64 {
    let details = told.get(details).and_then(Raw::elements).unwrap_or_default();
    let details = details.into_iter().filter_map(Raw::members);
    details
        .filter(|detail| {
            detail
                .string("modality")
                .is_some_and(|modality| modality == "AUDIO")
        })
        .filter_map(|detail| detail.count("tokenCount"))
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_thought_tokens_count_once() {
        let check = |text: &str, expected: Option<Usage>| {
            let text = format!("{{\"usageMetadata\":{text}}}");
            assert_eq!(find(&Members::read(&text).unwrap()), expected, "{text}");
        };
        check("null", None);
        check("{}", Some(Usage::default()));
        check(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":80,"candidatesTokenCount":7,
                "thoughtsTokenCount":5,"toolUsePromptTokenCount":3,"totalTokenCount":115}"#,
            Some(Usage {
                input: 23,
                output: 12,
                cache_read: 80,
                thinking: 5,
                ..Usage::default()
            }),
        );
        check(
            r#"{"promptTokenCount":90,"promptTokensDetails":[{"modality":"TEXT","tokenCount":30},
                {"modality":"AUDIO","tokenCount":60}]}"#,
            Some(Usage {
                input: 90,
                audio_input: 60,
                ..Usage::default()
            }),
        );
        check(
            r#"{"promptTokenCount":1,"cachedContentTokenCount":2}"#,
            Some(Usage {
                cache_read: 2,
                ..Usage::default()
            }),
        );
    }
}
