//! `usage`, and the tier that an answer was served in.

use crate::dialect::raw::{Members, Raw};
use crate::types::usage::{ServiceTier, Terms, Usage};

/// The usage that a whole answer, or what an event carries, tells. `inputTokens` excludes what the cache
/// gave and took.
pub fn find(answer: &Members<'_>) -> Option<Usage> {
    let told = answer.members("usage")?;
    let count = |name| told.count(name).unwrap_or(0);
    let written = count("cacheWriteInputTokens");
    let details = told
        .get("cacheDetails")
        .and_then(Raw::elements)
        .unwrap_or_default();
    let for_an_hour = details
        .into_iter()
        .filter_map(Raw::members)
        .filter(|detail| detail.string("ttl").is_some_and(|ttl| ttl == "1h"))
        .filter_map(|detail| detail.count("inputTokens"))
        .fold(0, u64::saturating_add)
        .min(written);
    Some(Usage {
        input: count("inputTokens"),
        output: count("outputTokens"),
        cache_read: count("cacheReadInputTokens"),
        cache_write_5m: written.saturating_sub(for_an_hour),
        cache_write_1h: for_an_hour,
        terms: Terms {
            tier: tier(answer),
            ..Terms::default()
        },
        ..Usage::default()
    })
}

/// The tier; capacity that was bought beforehand has no price by the token.
fn tier(answer: &Members<'_>) -> ServiceTier {
    let tier = answer.members("serviceTier");
    match tier.and_then(|tier| tier.string("type")).as_deref() {
        None | Some("default") => ServiceTier::Standard,
        Some("priority") => ServiceTier::Priority,
        Some("flex") => ServiceTier::Flex,
        Some(_) => ServiceTier::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_counts_once() {
        let check = |text: &str, expected: Option<Usage>| {
            assert_eq!(find(&Members::read(text).unwrap()), expected, "{text}");
        };
        check("{}", None);
        check(r#"{"usage":{}}"#, Some(Usage::default()));
        check(
            r#"{"usage":{"inputTokens":10,"outputTokens":7,"totalTokens":127,"cacheReadInputTokens":80,
                "cacheWriteInputTokens":30,"cacheDetails":[{"ttl":"5m","inputTokens":20},{"ttl":"1h","inputTokens":10}]}}"#,
            Some(Usage {
                input: 10,
                output: 7,
                cache_read: 80,
                cache_write_5m: 20,
                cache_write_1h: 10,
                ..Usage::default()
            }),
        );
        check(
            r#"{"usage":{"cacheWriteInputTokens":3,"cacheDetails":[{"ttl":"1h","inputTokens":9}]},
                "serviceTier":{"type":"priority"}}"#,
            Some(Usage {
                cache_write_1h: 3,
                terms: Terms {
                    tier: ServiceTier::Priority,
                    ..Terms::default()
                },
                ..Usage::default()
            }),
        );
    }
}
