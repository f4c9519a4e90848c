//! Token counts of chat completions, in Anthropic's terms.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::{Members, Raw};
use crate::types::usage::{ServerTools, ServiceTier, Terms, Usage};

/// The usage of a chunk or completion, wherever its vendor puts it, with the tier that it names.
pub fn find(answer: &Members<'_>, choice: Option<&Members<'_>>) -> Option<Usage> {
    let usage = find_counts(answer, choice)?;
    Some(served_in(tier(answer), usage))
}

/// The service tier that an answer, or one of its chunks, says that it was served in.
pub fn tier(answer: &Members<'_>) -> Option<ServiceTier> {
    answer
        .string("service_tier")
        .map(|word| ServiceTier::of_word(&word))
}

/// The usage in this tier, where one was told.
pub fn served_in(tier: Option<ServiceTier>, usage: Usage) -> Usage {
    let tier = tier.unwrap_or(usage.terms.tier);
    Usage {
        terms: Terms { tier, ..usage.terms },
        ..usage
    }
}

fn find_counts(answer: &Members<'_>, choice: Option<&Members<'_>>) -> Option<Usage> {
    let top = answer.get("usage").and_then(read);
    let in_choice = || choice.and_then(|choice| choice.get("usage")).and_then(read);
    let in_groq = || {
        answer
            .members("x_groq")
            .and_then(|groq| groq.get("usage"))
            .and_then(read)
    };
    top.or_else(in_choice).or_else(in_groq)
}

/// The counts of a usage object; `None` where it counts nothing.
///
/// `prompt_tokens` contains what was read from and written to a cache, Anthropic's `input_tokens` does
/// not: hence the subtraction.
pub fn read(usage: Raw<'_>) -> Option<Usage> {
    let usage = usage.members()?;
    let (prompt, completion) = (usage.count("prompt_tokens"), usage.count("completion_tokens"));
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let (prompt, completion) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    let details = usage.members("prompt_tokens_details").unwrap_or_default();
    let first = |counts: [Option<u64>; 3]| counts.into_iter().flatten().next().unwrap_or(0);
    let cache_read = first([
        details.count("cached_tokens"),
        usage.count("prompt_cache_hit_tokens"),
        usage.count("cached_tokens"),
    ]);
    let cache_write = first([
        details.count("cache_write_tokens"),
        usage.count("cache_creation_input_tokens"),
        details.count("cache_creation_tokens"),
    ]);
    let made = usage.members("completion_tokens_details").unwrap_or_default();
    let reasoning = made.count("reasoning_tokens");
    let unaccounted = usage
        .count("total_tokens")
        .unwrap_or(0)
        .saturating_sub(prompt.saturating_add(completion));
    // Gemini leaves thoughts out of `completion_tokens`, though they are in the total and on the bill.
    let left_out = if reasoning.is_none_or(|count| count == unaccounted) {
        unaccounted
    } else {
        0
    };
    Some(Usage {
        input: prompt.saturating_sub(cache_read).saturating_sub(cache_write),
        output: completion.saturating_add(left_out),
        cache_read,
        cache_write_5m: cache_write,
        thinking: reasoning.unwrap_or(left_out),
        audio_input: details.count("audio_tokens").unwrap_or(0),
        audio_output: made.count("audio_tokens").unwrap_or(0),
        ..Usage::default()
    })
}

/// What a response used: its tokens, its tier, and the hosted tools among its output items. `None` where it
/// counts nothing.
pub fn of_response(response: &Members<'_>) -> Option<Usage> {
    let usage = response.get("usage").and_then(read_response)?;
    let items = response.get("output").and_then(Raw::elements).unwrap_or_default();
    let mut server_tools = ServerTools::default();
    for item in items.into_iter().filter_map(Raw::members) {
        match item.string("type").unwrap_or_default().as_ref() {
            "web_search_call" if is_search(&item) => server_tools.web_search += 1,
            "file_search_call" => server_tools.file_search += 1,
            "code_interpreter_call" => server_tools.code_run += 1,
            _ => {}
        }
    }
    Some(served_in(
        tier(response),
        Usage {
            server_tools,
            ..usage
        },
    ))
}

/// Whether a call of the web search searched: opening a page, or finding in it, is not billed.
fn is_search(call: &Members<'_>) -> bool {
    let action = call.members("action");
    let kind = action.and_then(|action| action.string("type").map(Cow::into_owned));
    kind.is_none_or(|kind| kind == "search")
}

/// The counts of a usage object of the Responses API; `None` where it counts nothing. `input_tokens`
/// contains what was read from and written to a cache.
pub fn read_response(usage: Raw<'_>) -> Option<Usage> {
    let usage = usage.members()?;
    let (input, output) = (usage.count("input_tokens"), usage.count("output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let details = usage.members("input_tokens_details").unwrap_or_default();
    let cache_read = details.count("cached_tokens").unwrap_or(0);
    let cache_write = details.count("cache_write_tokens").unwrap_or(0);
    let reasoning = usage
        .members("output_tokens_details")
        .and_then(|details| details.count("reasoning_tokens"));
    Some(Usage {
        input: input
            .unwrap_or(0)
            .saturating_sub(cache_read)
            .saturating_sub(cache_write),
        output: output.unwrap_or(0),
        cache_read,
        cache_write_5m: cache_write,
        thinking: reasoning.unwrap_or(0),
        ..Usage::default()
    })
}

/// Writes a usage object of chat completions: the parts of the input that were read from and written to
/// a cache are contained in `prompt_tokens`.
pub fn put_usage(out: &mut impl BufMut, usage: &Usage) {
    let input = usage.total_input();
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let counters: [(&[u8], u64); 6] = [
        (br#"{"prompt_tokens":"#, input),
        (br#","completion_tokens":"#, usage.output),
        (br#","total_tokens":"#, input.saturating_add(usage.output)),
        (br#","prompt_tokens_details":{"cached_tokens":"#, usage.cache_read),
        (br#","cache_write_tokens":"#, written),
        (
            br#"},"completion_tokens_details":{"reasoning_tokens":"#,
            usage.thinking,
        ),
    ];
    for (key, count) in counters {
        out.put_slice(key);
        put_count(out, count);
    }
    out.put_slice(b"}}");
}

/// Writes a usage object of the Responses API. `input_tokens` contains what was read from and written to a
/// cache.
pub fn put_response_usage(out: &mut impl BufMut, usage: &Usage) {
    let input = usage.total_input();
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let counters: [(&[u8], u64); 6] = [
        (br#"{"input_tokens":"#, input),
        (br#","input_tokens_details":{"cached_tokens":"#, usage.cache_read),
        (br#","cache_write_tokens":"#, written),
        (br#"},"output_tokens":"#, usage.output),
        (
            br#","output_tokens_details":{"reasoning_tokens":"#,
            usage.thinking,
        ),
        (br#"},"total_tokens":"#, input.saturating_add(usage.output)),
    ];
    for (key, count) in counters {
        out.put_slice(key);
        put_count(out, count);
    }
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64, thinking: u64) -> Usage {
        Usage {
            input,
            output,
            cache_read,
            cache_write_5m: cache_write,
            thinking,
            ..Usage::default()
        }
    }

    #[test]
    fn counts_are_found_under_every_vendors_name() {
        let check = |text, expected| assert_eq!(read(Raw::read(text).unwrap()), expected, "{text}");
        check(
            r#"{"prompt_tokens":31,"completion_tokens":17,"total_tokens":48}"#,
            Some(usage(31, 17, 0, 0, 0)),
        );
        check(
            r#"{"prompt_tokens":5000,"completion_tokens":3,"prompt_tokens_details":
                {"cached_tokens":4096,"cache_write_tokens":640},"completion_tokens_details":{"reasoning_tokens":2}}"#,
            Some(usage(264, 3, 4096, 640, 2)),
        );
        check(
            r#"{"prompt_tokens":210,"completion_tokens":58,"prompt_cache_hit_tokens":128}"#,
            Some(usage(82, 58, 128, 0, 0)),
        );
        check(
            r#"{"prompt_tokens":96,"completion_tokens":40,"cached_tokens":64}"#,
            Some(usage(32, 40, 64, 0, 0)),
        );
        check(
            r#"{"prompt_tokens":5,"completion_tokens":1,"cached_tokens":64}"#,
            Some(usage(0, 1, 64, 0, 0)),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":4,"total_tokens":34}"#,
            Some(usage(10, 24, 0, 0, 20)),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":24,"total_tokens":35,
                "completion_tokens_details":{"reasoning_tokens":20}}"#,
            Some(usage(10, 24, 0, 0, 20)),
        );
        check(
            r#"{"prompt_tokens":null,"completion_tokens":2}"#,
            Some(usage(0, 2, 0, 0, 0)),
        );
        check(r#"{"total_tokens":2}"#, None);
        check("null", None);
    }

    #[test]
    fn responses_count_cached_tokens_once() {
        let text = r#"{"input_tokens":37,"input_tokens_details":{"cached_tokens":7,"cache_write_tokens":5},
            "output_tokens":15,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":52}"#;
        assert_eq!(
            read_response(Raw::read(text).unwrap()),
            Some(usage(25, 15, 7, 5, 4))
        );
        assert_eq!(read_response(Raw::read("{}").unwrap()), None);
    }

    #[test]
    fn a_response_tells_its_tier_and_the_tools_it_ran() {
        let text = r#"{"service_tier":"flex","usage":{"input_tokens":9,"output_tokens":1},"output":[
            {"type":"web_search_call","action":{"type":"search","query":"x"}},
            {"type":"web_search_call","action":{"type":"open_page","url":"x"}},{"type":"web_search_call"},
            {"type":"file_search_call"},{"type":"code_interpreter_call"},{"type":"message"}]}"#;
        let used = of_response(&Members::read(text).unwrap()).unwrap();
        let expected = ServerTools {
            web_search: 2,
            file_search: 1,
            code_run: 1,
            ..ServerTools::default()
        };
        assert_eq!((used.input, used.server_tools), (9, expected));
        assert_eq!(used.terms.tier, ServiceTier::Flex);
        assert_eq!(of_response(&Members::read(r#"{"output":[]}"#).unwrap()), None);
    }

    #[test]
    fn a_completion_tells_its_tier_and_its_sound() {
        let text = r#"{"service_tier":"priority","usage":{"prompt_tokens":90,"completion_tokens":40,
            "prompt_tokens_details":{"audio_tokens":60},"completion_tokens_details":{"audio_tokens":30}}}"#;
        let used = find(&Members::read(text).unwrap(), None).unwrap();
        assert_eq!((used.input, used.audio_input, used.audio_output), (90, 60, 30));
        assert_eq!(used.terms.tier, ServiceTier::Priority);
    }

    #[test]
    fn what_is_written_reads_back() {
        let told = usage(1, 20, 3, 4, 5);
        let mut text = Vec::new();
        put_usage(&mut text, &told);
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with(r#"{"prompt_tokens":8,"completion_tokens":20,"total_tokens":28,"#),
            "{text}"
        );
        assert_eq!(read(Raw::read(&text).unwrap()), Some(told));
    }

    #[test]
    fn usage_is_found_wherever_it_stands() {
        let places = [
            r#"{"usage":{"prompt_tokens":1},"choices":[{}]}"#,
            r#"{"usage":null,"choices":[{"usage":{"prompt_tokens":1}}]}"#,
            r#"{"x_groq":{"usage":{"prompt_tokens":1}},"choices":[{}]}"#,
        ];
        for place in places {
            let answer = Members::read(place).unwrap();
            let choice = answer.get("choices").unwrap().elements().unwrap()[0].members();
            assert_eq!(
                find(&answer, choice.as_ref()),
                Some(usage(1, 0, 0, 0, 0)),
                "{place}"
            );
        }
    }
}
