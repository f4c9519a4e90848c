//! An answer to `count_tokens` for upstreams that have none: an estimate by a tokenizer.
//!
//! Input: the body of a request to count. Output: its tokens as an OpenAI model counts them, with what messages,
//! tools and pictures add. Bounded in time: of very long texts, pieces from all over are counted and the rest is
//! inferred. Not for async threads: a megabyte takes tens of milliseconds, and the first call loads the vocabulary.
//!
//! - [`vocabulary`]: the tokenizer. `texts`: what of a request a model reads.

mod texts;
pub mod vocabulary;

use std::borrow::Cow;

use crate::dialect::raw::unescape;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::count::texts::{Asked, Text};
use crate::pipeline::translate::count::vocabulary::Vocabulary;

/// Tokens around each message, its role included, as `OpenAI` documents for chat completions.
const TOKENS_PER_MESSAGE: u64 = 4;

/// Tokens that begin every answer, by the same source.
const TOKENS_PRIMING: u64 = 3;

/// Tokens around each tool.
const TOKENS_PER_TOOL: u64 = 8;

/// The most text that is counted in full, in bytes of JSON.
const COUNTED_BYTES_MAX: usize = 1024 * 1024;

/// Text is counted in pieces of this size, because a word without end would take the square of its length.
const PIECE_BYTES: usize = 16 * 1024;

/// How much is added for models with another vocabulary than `OpenAI`'s, as a divisor: a seventh, which is what
/// vocabularies of half the size need more for English and code.
const FOREIGN_MARGIN_DIVISOR: u64 = 7;

/// Whose model it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `OpenAI`'s, whose vocabulary we have.
    OpenAi,
    /// Another's, whose vocabulary we don't have.
    Other,
}

/// About how many input tokens this Messages request is; `None` where it is no such request.
pub fn estimate(body: &[u8], reader: Reader, vocabulary: &Vocabulary) -> Option<u64> {
    let asked = Asked::read(std::str::from_utf8(body).ok()?)?;
    let text = count(&asked.texts, vocabulary);
    let text = match reader {
        Reader::OpenAi => text,
        Reader::Other => text.saturating_add(text / FOREIGN_MARGIN_DIVISOR),
    };
    let around = [
        TOKENS_PER_MESSAGE.saturating_mul(asked.messages),
        TOKENS_PER_TOOL.saturating_mul(asked.tools),
        tally::request(0, asked.images),
        TOKENS_PRIMING,
    ];
    Some(around.into_iter().fold(text, u64::saturating_add))
}

/// The tokens of all texts: counted, or inferred from pieces that lie at equal distances.
fn count(texts: &[Text<'_>], vocabulary: &Vocabulary) -> u64 {
    let all: usize = texts.iter().map(|text| text.written.len()).sum();
    let every = all.div_ceil(COUNTED_BYTES_MAX).max(1);
    let (mut tokens, mut counted, mut place) = (0u64, 0usize, 0usize);
    for text in texts {
        let mut rest = text.written;
        while !rest.is_empty() {
            let (piece, behind) = cut(rest);
            rest = behind;
            if place.is_multiple_of(every) {
                let read = if text.escaped { unescape(piece) } else { None };
                // A piece that was cut within an escape is counted as it is written.
                let read = read.unwrap_or(Cow::Borrowed(piece));
                tokens = tokens.saturating_add(vocabulary.count(&read));
                counted += piece.len();
            }
            place += 1;
        }
    }
    if counted == all || counted == 0 {
        return tokens;
    }
    let inferred = u128::from(tokens) * tally_size(all) / tally_size(counted);
    u64::try_from(inferred).unwrap_or(u64::MAX)
}

fn tally_size(bytes: usize) -> u128 {
    u128::from(tally::size(bytes))
}

/// The first piece of a text, and what is behind it.
fn cut(text: &str) -> (&str, &str) {
    if text.len() <= PIECE_BYTES {
        return (text, "");
    }
    // No character has more than four bytes.
    let mut borders = (PIECE_BYTES - 3..=PIECE_BYTES).rev();
    let border = borders.find(|border| text.is_char_boundary(*border));
    let border = border.unwrap_or(text.len());
    // Between words, if there is one nearby.
    let near = text.get(..border).and_then(|piece| piece.rfind(' '));
    let border = near.filter(|near| *near > PIECE_BYTES / 2).unwrap_or(border);
    text.split_at_checked(border).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// Texts with their counts, by another program.
    #[derive(Deserialize)]
    struct Golden {
        case: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        text: String,
        tokens: u64,
    }

    fn estimated(body: &serde_json::Value, reader: Reader) -> u64 {
        estimate(body.to_string().as_bytes(), reader, Vocabulary::shared().unwrap()).unwrap()
    }

    fn golden() -> Vec<Case> {
        let text = include_str!("../../../../tests/golden/count-tokens.toml");
        toml::from_str::<Golden>(text).unwrap().case
    }

    #[test]
    fn texts_are_counted_as_another_program_counts_them() {
        let cases = golden();
        assert!(cases.len() >= 8);
        for case in &cases {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": case.text}]});
            // One message and the priming.
            assert_eq!(estimated(&body, Reader::OpenAi), case.tokens + 7, "{}", case.text);
        }
    }

    #[test]
    fn a_conversation_is_the_sum_of_its_parts() {
        let tokens = |at: usize| golden()[at].tokens;
        let text = |at: usize| golden()[at].text.clone();
        let body = json!({"model": "m", "system": text(0), "messages": [
            {"role": "user", "content": [{"type": "text", "text": text(1)}, {"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "not sent on", "signature": "s"},
                {"type": "text", "text": text(2)}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text(3)}]}]});
        // Four messages: the system's, and three.
        let expected = tokens(0) + tokens(1) + tokens(2) + tokens(3) + 4 * 4 + 3 + 1_600;
        assert_eq!(estimated(&body, Reader::OpenAi), expected);
        let text = tokens(0) + tokens(1) + tokens(2) + tokens(3);
        assert_eq!(estimated(&body, Reader::Other), expected + text / 7);
        let mut with_tool = body;
        with_tool["tools"] =
            json!([{"name": "get_weather", "description": "d", "input_schema": {"type": "object"}}]);
        let tool = estimated(&with_tool, Reader::OpenAi) - expected;
        assert!((20..40).contains(&tool), "{tool}");
    }

    #[test]
    fn long_texts_are_inferred_from_pieces_and_in_time() {
        let vocabulary = Vocabulary::shared().unwrap();
        let sentence = "The quick brown fox jumps over the lazy dog, and \"then\" it rests.\n";
        let exact = vocabulary.count(sentence);
        // 24 MiB, of which one is counted.
        let times = 24 * 1024 * 1024 / sentence.len();
        let body = json!({"messages": [{"role": "user", "content": sentence.repeat(times)}]}).to_string();
        let began = Instant::now();
        let found = estimate(body.as_bytes(), Reader::OpenAi, vocabulary).unwrap();
        let expected = exact * u64::try_from(times).unwrap();
        assert!(
            found.abs_diff(expected) * 50 < expected,
            "{found} instead of {expected}"
        );
        let endless =
            json!({"messages": [{"role": "user", "content": "a".repeat(8 * 1024 * 1024)}]}).to_string();
        assert!(estimate(endless.as_bytes(), Reader::OpenAi, vocabulary).unwrap() > 500_000);
        // Without a bound, these take minutes in a build without optimisation.
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    }

    #[test]
    fn what_is_no_request_is_not_counted() {
        for odd in ["[]", "{", "", "\"x\""] {
            assert_eq!(
                estimate(odd.as_bytes(), Reader::OpenAi, Vocabulary::shared().unwrap()),
                None
            );
        }
        assert_eq!(estimated(&json!({}), Reader::OpenAi), 3);
    }
}
