//! Texts of upstreams without what clients must not learn: where the upstream lives, and credentials.
//!
//! Such a text is for people, so a word too many is removed rather than one too few.

use std::borrow::Cow;

/// The longest text that is passed on.
const TEXT_BYTES_MAX: usize = 2048;

/// The text, cut to a sane length, with private words replaced.
pub(crate) fn cleaned(text: &str) -> Cow<'_, str> {
    let end = (0..=text.len().min(TEXT_BYTES_MAX))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    let text = text.get(..end.unwrap_or(0)).unwrap_or_default().trim();
    if !text.split_whitespace().any(is_private) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        clean.push_str(if is_private(word) { "[removed]" } else { word });
        clean.push_str(piece.get(word.len()..).unwrap_or_default());
    }
    Cow::Owned(clean)
}

/// Whether a word names a place on a network or looks like a credential.
fn is_private(word: &str) -> bool {
    // What follows an equals sign or a quote inside a word (`host="10.0.0.1"`) counts by itself.
    word.contains("://")
        || word
            .split(['=', '"', '\'', '`', '(', ')', ',', ';', '<', '>', '@'])
            .any(|part| {
                let part = part.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                is_place(part) || is_credential(part)
            })
}

/// Endings of names that are hosts rather than files or models.
const HOST_ENDINGS: [&str; 16] = [
    "internal",
    "local",
    "localhost",
    "lan",
    "corp",
    "svc",
    "cluster",
    "intranet",
    "home",
    "com",
    "net",
    "org",
    "io",
    "ai",
    "dev",
    "cloud",
];

fn is_place(part: &str) -> bool {
    let authority = part
        .split(['/', '?'])
        .find(|piece| !piece.is_empty())
        .unwrap_or(part);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let has_port = (2..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let labels: Vec<&str> = host.split('.').collect();
    if !labels
        .iter()
        .all(|label| !label.is_empty() && label.bytes().all(allowed))
    {
        // IPv6, which no word of prose looks like.
        return (authority.contains("::") || authority.matches(':').count() >= 4)
            && authority
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || b":.[]".contains(&byte));
    }
    let last = labels.last().copied().unwrap_or_default();
    let is_address = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
    // `vllm-7:8000` is a place, `qwen:14` is a model.
    let is_named_port = has_port
        && (labels.len() > 1 || port.len() >= 4)
        && host.starts_with(|c: char| c.is_ascii_alphabetic());
    is_address || is_named_port || (labels.len() > 1 && HOST_ENDINGS.contains(&last)) || host == "localhost"
}

/// How keys of vendors begin.
const KEY_BEGINNINGS: [&str; 8] = ["sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "tg_live_", "eyJ"];

fn is_credential(part: &str) -> bool {
    let begins_like_a_key = KEY_BEGINNINGS.iter().any(|beginning| part.starts_with(beginning));
    let mixed =
        part.bytes().any(|byte| byte.is_ascii_digit()) && part.bytes().any(|byte| byte.is_ascii_alphabetic());
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*.+/".contains(&byte);
    (begins_like_a_key && part.len() >= 8) || (part.len() >= 40 && mixed && part.bytes().all(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_credentials_are_removed() {
        let check = |text: &str, expected: &str| assert_eq!(cleaned(text), expected);
        check(
            "connect to https://vllm.internal/v1: refused",
            "connect to [removed] refused",
        );
        check("upstream 10.1.2.3:8000 down", "upstream [removed] down");
        check("no route to vllm-7:8000.", "no route to [removed]");
        check("dial tcp [fd00::1]:443 failed", "dial tcp [removed] failed");
        check("host=\"gpu1.corp.example.com\" gone", "[removed] gone");
        check(
            "Incorrect API key provided: sk-proj-abc***xyz.",
            "Incorrect API key provided: [removed]",
        );
        check(
            "token 0123456789abcdef0123456789abcdef01234567 expired",
            "token [removed] expired",
        );
        check("ask ops@example.com\nnow", "ask [removed]\nnow");
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        for text in [
            "The model `gpt-4.1-mini` does not exist or you do not have access to it.",
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected at most 40, got 64 instead.",
            "Rate limit reached for qwen2.5:14b, try again in 6.5s (limit 10/min) at 12:30:05",
            "file notes.md, e.g. size 1.5: too large; see section 4.10",
            "größer",
        ] {
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(TEXT_BYTES_MAX);
        assert_eq!(cleaned(&text).len(), TEXT_BYTES_MAX);
    }
}
