//! Errors in the many shapes that chat-completion servers give them.

use crate::dialect::raw::{Members, Raw};

/// What an error body says, as far as it can be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaint {
    /// Text for people; empty where there is none.
    pub message: String,
    /// The machine-readable words (`type`, `code`), in lower case.
    pub words: Vec<String>,
    /// An HTTP status or a vendor's number inside the body.
    pub number: Option<u64>,
    /// Tokens of the prompt, where told apart from the text.
    pub prompt_tokens: Option<u64>,
    /// The size of the context window, likewise.
    pub context_tokens: Option<u64>,
    /// Seconds after which to ask again, where the body tells (`google.rpc.RetryInfo`).
    pub retry_after_s: Option<u64>,
}

impl Complaint {
    /// Whether one of the words contains this.
    pub fn says(&self, word: &str) -> bool {
        self.words.iter().any(|said| said.contains(word))
    }
}

/// The error in a chunk or in the body of an answer with status 200; `None` where it is an answer.
pub fn in_answer(answer: &Members<'_>) -> Option<Complaint> {
    if let Some(error) = answer
        .get("error")
        .filter(|error| !matches!(error.text(), "false" | "\"\"" | "{}"))
    {
        return Some(of_error(error));
    }
    if let Some(base) = answer.members("base_resp") {
        let code = base.count("status_code").filter(|code| *code != 0);
        if let Some(code) = code {
            let message = base.string("status_msg").unwrap_or_default().into_owned();
            return Some(Complaint {
                message,
                number: Some(code),
                words: vec!["base_resp".into()],
                ..Complaint::default()
            });
        }
    }
    if answer.string("object").is_some_and(|object| object == "error") {
        return Some(of_members(answer));
    }
    let names_an_error = ["code", "type", "status", "status_code"]
        .iter()
        .any(|key| answer.get(key).is_some());
    let is_error = answer.get("detail").is_some() || (answer.get("message").is_some() && names_an_error);
    (is_error && answer.get("choices").is_none()).then(|| of_members(answer))
}

/// The error in the body of an answer with an error status, whatever the body is.
pub fn in_error_body(body: &str) -> Complaint {
    let Some(value) = Raw::read(body) else {
        // Pages of proxies are no messages for people.
        let message = if body.trim_start().starts_with('<') {
            ""
        } else {
            body.trim()
        };
        return Complaint {
            message: message.to_owned(),
            ..Complaint::default()
        };
    };
    // Gemini wraps its error in a list.
    let first = value
        .elements()
        .and_then(|list| list.first().copied())
        .unwrap_or(value);
    match first.members() {
        Some(members) => in_answer(&members).unwrap_or_else(|| of_members(&members)),
        None => of_error(first),
    }
}

/// An `error` value: a string or an object.
fn of_error(error: Raw<'_>) -> Complaint {
    match (error.string(), error.members()) {
        (Some(text), _) => Complaint {
            message: text.into_owned(),
            ..Complaint::default()
        },
        (None, Some(members)) => of_members(&members),
        (None, None) => Complaint::default(),
    }
}

fn of_members(error: &Members<'_>) -> Complaint {
    let message = ["message", "Message", "detail", "msg", "error"]
        .iter()
        .find_map(|key| error.get(key))
        .map(message_of);
    let details = error.get("details").and_then(Raw::elements).unwrap_or_default();
    let details: Vec<_> = details.into_iter().filter_map(Raw::members).collect();
    // Google names the cause in `google.rpc.ErrorInfo`.
    let reasons = details.iter().filter_map(|detail| detail.string("reason"));
    let words = ["code", "type", "status"]
        .iter()
        .filter_map(|key| error.string(key))
        .chain(reasons);
    let numbers = ["code", "status", "status_code", "originalStatusCode"];
    let number = numbers.iter().find_map(|key| {
        // Some send their numbers as strings.
        error.count(key).or_else(|| error.string(key)?.parse().ok())
    });
    Complaint {
        message: message.unwrap_or_default(),
        words: words.map(|word| word.to_lowercase()).collect(),
        number,
        prompt_tokens: error.count("n_prompt_tokens"),
        context_tokens: error.count("n_ctx"),
        retry_after_s: details.iter().find_map(retry_delay_s),
    }
}

/// The whole seconds of a `retryDelay`, which is a duration like `17s` or `1.5s`.
fn retry_delay_s(detail: &Members<'_>) -> Option<u64> {
    let delay = detail.string("retryDelay")?;
    let (whole, fraction) = delay.strip_suffix('s')?.split_once('.').map_or_else(
        || (delay.trim_end_matches('s'), false),
        |(whole, fraction)| (whole, fraction.bytes().any(|digit| digit != b'0')),
    );
    let whole: u64 = whole.parse().ok()?;
    whole.checked_add(u64::from(fraction))
}

/// A message, which FastAPI gives as a list of objects with `msg`.
fn message_of(message: Raw<'_>) -> String {
    if let Some(text) = message.string() {
        return text.into_owned();
    }
    let parts = message.elements().unwrap_or_else(|| vec![message]);
    let texts = parts.into_iter().filter_map(Raw::members);
    let texts = texts.filter_map(|part| part.string("msg").or_else(|| part.string("message")));
    texts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_error_body_is_understood() {
        let check = |body: &str, message: &str, word: &str, number| {
            let complaint = in_error_body(body);
            assert_eq!(complaint.message, message, "{body}");
            assert_eq!(complaint.number, number, "{body}");
            assert!(word.is_empty() || complaint.says(word), "{body}");
        };
        check(
            r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"Context_Length_Exceeded"}}"#,
            "m",
            "context_length_exceeded",
            None,
        );
        check(r#"{"error":"m"}"#, "m", "", None);
        check(r#""m""#, "m", "", None);
        check(r#"{"detail":"m"}"#, "m", "", None);
        check(
            r#"{"detail":[{"loc":["body"],"msg":"m"},{"msg":"n"}]}"#,
            "m; n",
            "",
            None,
        );
        check(
            r#"{"object":"error","message":"m","code":400,"type":"BadRequestError"}"#,
            "m",
            "badrequest",
            Some(400),
        );
        check(
            r#"{"code":"InvalidParameter","message":"m"}"#,
            "m",
            "invalidparameter",
            None,
        );
        check(r#"{"error":{"code":429,"message":"m"}}"#, "m", "", Some(429));
        check(
            r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
            "m",
            "invalid_argument",
            Some(400),
        );
        check(
            r#"{"base_resp":{"status_code":1008,"status_msg":"m"}}"#,
            "m",
            "base_resp",
            Some(1008),
        );
        check(
            r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"@type":
                "type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
            "m",
            "api_key_invalid",
            Some(400),
        );
        check("<html><body>502</body></html>", "", "", None);
        check("upstream connect error", "upstream connect error", "", None);
        check("", "", "", None);
        check("[]", "", "", None);
    }

    #[test]
    fn googles_delay_is_rounded_up_to_seconds() {
        let check = |delay: &str, seconds| {
            let detail =
                format!(r#"{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}"#);
            let body = format!(r#"{{"error":{{"code":429,"message":"m","details":[7,{detail}]}}}}"#);
            assert_eq!(in_error_body(&body).retry_after_s, seconds, "{delay}");
        };
        check("17s", Some(17));
        check("1.5s", Some(2));
        check("2.000s", Some(2));
        check("0s", Some(0));
        check("soon", None);
        check("-1s", None);
    }

    #[test]
    fn an_answer_is_no_error() {
        let check = |body, is_error: bool| {
            assert_eq!(
                in_answer(&Members::read(body).unwrap()).is_some(),
                is_error,
                "{body}"
            );
        };
        check(r#"{"choices":[],"error":null}"#, false);
        check(
            r#"{"choices":[{}],"base_resp":{"status_code":0,"status_msg":""}}"#,
            false,
        );
        check(r#"{"choices":[],"message":"x","type":"y"}"#, false);
        check(r#"{"id":"x","object":"chat.completion.chunk"}"#, false);
        check(r#"{"choices":[{}],"error":{"code":502,"message":"m"}}"#, true);
        check(r#"{"choices":null,"base_resp":{"status_code":1002}}"#, true);
        check(r#"{"message":"m","code":"x"}"#, true);
    }
}
