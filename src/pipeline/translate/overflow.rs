//! Context overflow, in the words that clients parse.
//!
//! Claude Code compacts a conversation when it reads `prompt is too long`, and asks for fewer tokens
//! when it reads the second form. Any other wording leaves the session stuck at its limit.

use crate::dialect::openai::complaint::Complaint;

/// The message for the client, where the complaint is about the size of the context.
pub(crate) fn message(complaint: &Complaint) -> Option<String> {
    let text = complaint.message.to_lowercase();
    if !is_overflow(complaint, &text) {
        return None;
    }
    // Anthropic's own words.
    if text.starts_with("prompt is too long:") {
        return Some(complaint.message.clone());
    }
    let numbers = Numbers::of(complaint, &text);
    Some(match numbers {
        Numbers {
            limit: Some(limit),
            input: Some(input),
            output: Some(output),
            ..
        } if input <= limit => {
            format!("input length and `max_tokens` exceed context limit: {input} + {output} > {limit}")
        }
        Numbers {
            limit: Some(limit),
            input,
            total,
            ..
        } => {
            // Where the size is not told, all that is known is that it lies above the limit.
            let size = input
                .or(total)
                .filter(|size| *size > limit)
                .unwrap_or(limit.saturating_add(1));
            format!("prompt is too long: {size} tokens > {limit} maximum")
        }
        Numbers { limit: None, .. } => "prompt is too long for this model's context".to_owned(),
    })
}

fn is_overflow(complaint: &Complaint, text: &str) -> bool {
    const WORDS: [&str; 4] = [
        "context_length",
        "exceed_context",
        "context_window",
        "string_above_max",
    ];
    const PHRASES: [&str; 12] = [
        "maximum context length",
        "context length exceeded",
        "exceeds the available context",
        "context window",
        "context size",
        "prompt is too long",
        "input is too long",
        "exceeded model token limit",
        "range of input length should be",
        "input token count",
        "reduce the length of the messages",
        "too large for model with",
    ];
    if complaint.says("string_above_max") && !text.contains("context") {
        return false;
    }
    WORDS.iter().any(|word| complaint.says(word)) || PHRASES.iter().any(|phrase| text.contains(phrase))
}

/// The sizes that a complaint names.
struct Numbers {
    limit: Option<u64>,
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
}

impl Numbers {
    fn of(complaint: &Complaint, text: &str) -> Self {
        let before = |marks: &[&str]| marks.iter().find_map(|mark| number_before(text, mark));
        let after = |marks: &[&str]| marks.iter().find_map(|mark| number_after(text, mark));
        let limit = after(&[
            "maximum context length is",
            "maximum context length of",
            "token limit:",
            "tokens allowed (",
            "context window of",
            "length should be [1,",
            "context length is only",
        ]);
        Self {
            limit: complaint
                .context_tokens
                .or(limit)
                .or_else(|| before(&["maximum context length"])),
            input: complaint.prompt_tokens.or_else(|| {
                before(&[
                    "in the messages",
                    "of text input",
                    "in your prompt",
                    "in the prompt",
                    "in the input",
                ])
                .or_else(|| after(&["input token count (", "prompt contains"]))
            }),
            output: before(&["in the completion", "in the output", "for the completion"]),
            total: after(&["requested about", "requested", "resulted in", "prompt contains"]),
        }
    }
}

/// The first number within a few words behind the mark.
fn number_after(text: &str, mark: &str) -> Option<u64> {
    let (_, rest) = text.split_once(mark)?;
    let start = rest.find(|c: char| c.is_ascii_digit()).filter(|at| *at <= 12)?;
    let digits = rest.get(start..)?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != ',')
        .unwrap_or(digits.len());
    parse(digits.get(..end)?)
}

/// The last number within a few words before the mark.
fn number_before(text: &str, mark: &str) -> Option<u64> {
    let (head, _) = text.split_once(mark)?;
    let end = head
        .rfind(|c: char| c.is_ascii_digit())
        .filter(|at| head.len() - at <= 16)?
        + 1;
    let head = head.get(..end)?;
    let start = head
        .rfind(|c: char| !c.is_ascii_digit() && c != ',')
        .map_or(0, |at| at + 1);
    parse(head.get(start..)?)
}

fn parse(digits: &str) -> Option<u64> {
    digits.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::openai::complaint::in_error_body;

    #[test]
    fn overflows_are_told_in_words_that_clients_parse() {
        let check = |text: &str, expected: Option<&str>| {
            let body = serde_json::json!({"error": {"message": text}}).to_string();
            assert_eq!(message(&in_error_body(&body)).as_deref(), expected, "{text}");
        };
        check(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens. Please reduce the length of the messages.",
            Some("prompt is too long: 130000 tokens > 128000 maximum"),
        );
        check(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).",
            Some("input length and `max_tokens` exceed context limit: 4000 + 1000 > 4096"),
        );
        check(
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (39000 of text input, 1000 in the output).",
            Some("prompt is too long: 39000 tokens > 32768 maximum"),
        );
        check(
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            Some("prompt is too long: 40000 tokens > 32768 maximum"),
        );
        check(
            "Invalid request: Your request exceeded model token limit: 131072",
            Some("prompt is too long: 131073 tokens > 131072 maximum"),
        );
        check(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            Some("prompt is too long: 1200000 tokens > 1048576 maximum"),
        );
        check(
            "Range of input length should be [1, 30720]",
            Some("prompt is too long: 30721 tokens > 30720 maximum"),
        );
        check(
            "the context window is full",
            Some("prompt is too long for this model's context"),
        );
        check("max_tokens must be at most 4096", None);
        check("Invalid 'messages[1].tool_calls[0].id': string too long.", None);
        let llama = r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}"#;
        assert_eq!(
            message(&in_error_body(llama)).as_deref(),
            Some("prompt is too long: 9000 tokens > 8192 maximum")
        );
    }
}
