//! Why an answer ended, in OpenAI's words and in those of the Messages API.

/// The stop reason that a finish reason stands for; records use one language.
pub fn stop_reason(finish: &str, has_calls: bool) -> &'static str {
    match finish {
        "content_filter" | "sensitive" => "refusal",
        "length" | "model_length" | "max_tokens" => "max_tokens",
        finish if finish.contains("context") => "model_context_window_exceeded",
        _ if has_calls => "tool_use",
        _ => "end_turn",
    }
}

/// The finish reason that a stop reason stands for.
pub fn finish_reason(stop: &str, has_calls: bool) -> &'static str {
    match stop {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        "tool_use" if has_calls => "tool_calls",
        _ => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_meaning_both_ways() {
        for (finish, has_calls, stop) in [
            ("stop", false, "end_turn"),
            ("tool_calls", true, "tool_use"),
            ("length", false, "max_tokens"),
            ("content_filter", false, "refusal"),
        ] {
            assert_eq!(stop_reason(finish, has_calls), stop);
            assert_eq!(finish_reason(stop, has_calls), finish);
        }
        assert_eq!(stop_reason("stop", true), "tool_use");
        assert_eq!(finish_reason("pause_turn", false), "stop");
        assert_eq!(finish_reason("stop_sequence", false), "stop");
    }
}
