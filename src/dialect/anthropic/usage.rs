//! Usage objects of the Messages API.

use bytes::BufMut;

use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::{Members, Raw};
use crate::types::usage::{ServiceTier, Usage};

/// Overwrites the counts that this usage object names. Never adds: `message_delta` repeats totals.
pub fn merge(into: &mut Usage, usage: Raw<'_>) {
    let Some(usage) = usage.members() else { return };
    let set = |count: &mut u64, members: &Members<'_>, key| {
        if let Some(value) = members.count(key) {
            *count = value;
        }
    };
    set(&mut into.input, &usage, "input_tokens");
    set(&mut into.output, &usage, "output_tokens");
    set(&mut into.cache_read, &usage, "cache_read_input_tokens");
    merge_terms(into, &usage);
    if let Some(details) = usage.members("output_tokens_details") {
        set(&mut into.thinking, &details, "thinking_tokens");
    }
    if let Some(split) = usage.members("cache_creation") {
        set(&mut into.cache_write_5m, &split, "ephemeral_5m_input_tokens");
        set(&mut into.cache_write_1h, &split, "ephemeral_1h_input_tokens");
    }
    // A total that the split known so far does not make up is of unstated lifetime.
    let known = into.cache_write_5m.saturating_add(into.cache_write_1h);
    if let Some(total) = usage
        .count("cache_creation_input_tokens")
        .filter(|total| *total != known)
    {
        into.cache_write_5m = total;
        into.cache_write_1h = 0;
    }
}

/// Overwrites what this usage object says beside tokens.
fn merge_terms(into: &mut Usage, usage: &Members<'_>) {
    if let Some(used) = usage.members("server_tool_use") {
        let tools = &mut into.server_tools;
        tools.web_search = used.count("web_search_requests").unwrap_or(tools.web_search);
        tools.web_fetch = used.count("web_fetch_requests").unwrap_or(tools.web_fetch);
    }
    if let Some(tier) = usage.string("service_tier") {
        into.terms.tier = ServiceTier::of_word(&tier);
    }
    if let Some(speed) = usage.string("speed") {
        into.terms.fast = speed == "fast";
    }
    if let Some(geo) = usage.string("inference_geo") {
        into.terms.us_only = geo == "us";
    }
}

/// Writes a usage object with the four counters that clients add up.
pub fn put_usage(out: &mut impl BufMut, usage: &Usage) {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let counters: [(&[u8], u64); 4] = [
        (br#"{"input_tokens":"#, usage.input),
        (br#","cache_creation_input_tokens":"#, written),
        (br#","cache_read_input_tokens":"#, usage.cache_read),
        (br#","output_tokens":"#, usage.output),
    ];
    for (key, count) in counters {
        out.put_slice(key);
        put_count(out, count);
    }
    if usage.thinking > 0 {
        out.put_slice(br#","output_tokens_details":{"thinking_tokens":"#);
        put_count(out, usage.thinking);
        out.put_u8(b'}');
    }
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::usage::{ServerTools, Terms};

    #[test]
    fn later_counts_overwrite_and_absent_ones_survive() {
        let check = |objects: &[&str], expected: Usage| {
            let mut usage = Usage::default();
            for object in objects {
                merge(&mut usage, Raw::read(object).unwrap());
            }
            assert_eq!(usage, expected, "{objects:?}");
        };
        let start = r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":5,
            "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":1}"#;
        let begun = Usage {
            input: 10,
            output: 1,
            cache_read: 5,
            cache_write_5m: 10,
            cache_write_1h: 20,
            ..Usage::default()
        };
        check(&[start], begun);
        check(
            &[
                start,
                r#"{"output_tokens":99,"input_tokens":null,"output_tokens_details":{"thinking_tokens":7}}"#,
            ],
            Usage {
                output: 99,
                thinking: 7,
                ..begun
            },
        );
        check(
            &[start, r#"{"cache_creation_input_tokens":30,"output_tokens":2}"#],
            Usage { output: 2, ..begun },
        );
        check(
            &[r#"{"cache_creation_input_tokens":8,"output_tokens":2}"#],
            Usage {
                cache_write_5m: 8,
                output: 2,
                ..Usage::default()
            },
        );
        check(&[start, "null", "[]", r#"{"output_tokens":"many"}"#], begun);
    }

    #[test]
    fn terms_and_server_tools_are_kept() {
        let mut usage = Usage::default();
        let start = r#"{"input_tokens":1,"service_tier":"priority","speed":"fast","inference_geo":"us"}"#;
        let delta =
            r#"{"output_tokens":9,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}"#;
        for object in [start, delta, r#"{"server_tool_use":null,"service_tier":null}"#] {
            merge(&mut usage, Raw::read(object).unwrap());
        }
        let expected = Usage {
            input: 1,
            output: 9,
            server_tools: ServerTools {
                web_search: 2,
                web_fetch: 1,
                ..ServerTools::default()
            },
            terms: Terms {
                tier: ServiceTier::Priority,
                fast: true,
                us_only: true,
            },
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        merge(
            &mut usage,
            Raw::read(r#"{"service_tier":"standard","speed":"standard","inference_geo":"global"}"#).unwrap(),
        );
        assert!(usage.terms.are_usual());
    }

    #[test]
    fn what_is_written_reads_back() {
        let usage = Usage {
            input: 1,
            output: 2,
            cache_read: 3,
            cache_write_5m: 4,
            thinking: 1,
            ..Usage::default()
        };
        let (mut text, mut again) = (Vec::new(), Usage::default());
        put_usage(&mut text, &usage);
        merge(
            &mut again,
            Raw::read(std::str::from_utf8(&text).unwrap()).unwrap(),
        );
        assert_eq!(again, usage);
    }
}
