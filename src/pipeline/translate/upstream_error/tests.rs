//! Errors of upstreams, in the words of clients.

use super::*;
use crate::dialect::anthropic::error::envelope;
use crate::dialect::openai::complaint::in_answer;

fn own(dialect: Dialect, status: u16, body: &str) -> Fault {
    match upstream_error(
        Family::Anthropic,
        dialect,
        &answer(status, Some("7"), body.as_bytes()),
    ) {
        ClientError::Own(fault) => fault,
        relayed @ ClientError::Relay { .. } => panic!("{status} {body}: {relayed:?}"),
    }
}

fn answer<'a>(status: u16, retry_after: Option<&'a str>, body: &'a [u8]) -> ErrorAnswer<'a> {
    ErrorAnswer {
        status,
        retry_after,
        named: None,
        body,
    }
}

/// Status and `error` of the upstream; kind, status and message for the client.
const CLASSES: [(u16, &str, ErrorKind, u16, &str); 19] = [
    (
        400,
        r#"{"message":"m","code":"unsupported_parameter"}"#,
        ErrorKind::InvalidRequest,
        400,
        "m",
    ),
    (422, r#"{"message":"m"}"#, ErrorKind::InvalidRequest, 400, "m"),
    (
        400,
        r#"{"message":"m","type":"invalid_request_error","code":"content_filter"}"#,
        ErrorKind::InvalidRequest,
        400,
        "m",
    ),
    (
        401,
        r#"{"message":"Incorrect API key provided: sk-abc"}"#,
        ErrorKind::Api,
        502,
        REFUSED,
    ),
    (403, r#"{"message":"m"}"#, ErrorKind::Api, 502, REFUSED),
    (
        400,
        r#"{"message":"m","code":"invalid_api_key"}"#,
        ErrorKind::Api,
        502,
        REFUSED,
    ),
    (402, r#"{"message":"m"}"#, ErrorKind::Billing, 402, "m"),
    (
        429,
        r#"{"message":"m","code":"insufficient_quota"}"#,
        ErrorKind::Billing,
        402,
        "m",
    ),
    (
        404,
        r#"{"message":"m","type":"invalid_request_error","code":"model_not_found"}"#,
        ErrorKind::NotFound,
        404,
        "m",
    ),
    (408, r#"{"message":"m"}"#, ErrorKind::Timeout, 504, "m"),
    (504, r#"{"message":"m"}"#, ErrorKind::Timeout, 504, "m"),
    (409, r#"{"message":"m"}"#, ErrorKind::Conflict, 409, "m"),
    (413, r#"{"message":"m"}"#, ErrorKind::RequestTooLarge, 413, "m"),
    (
        429,
        r#"{"message":"m","type":"rate_limit_exceeded"}"#,
        ErrorKind::RateLimit,
        429,
        "m",
    ),
    (
        500,
        r#"{"message":"m","type":"server_error"}"#,
        ErrorKind::Api,
        500,
        "m",
    ),
    (524, r#"{"message":"m"}"#, ErrorKind::Api, 500, "m"),
    (503, r#""m""#, ErrorKind::Overloaded, 529, "m"),
    (
        400,
        r#"{"message":"m","code":"context_length_exceeded"}"#,
        ErrorKind::InvalidRequest,
        400,
        "prompt is too long for this model's context",
    ),
    (
        500,
        r#"{"message":"dial tcp 10.0.0.7:8000"}"#,
        ErrorKind::Api,
        500,
        "dial tcp [removed]",
    ),
];

#[test]
fn errors_keep_their_class_and_text() {
    for (status, error, kind, told, message) in CLASSES {
        let fault = own(Dialect::OpenAiChat, status, &format!("{{\"error\":{error}}}"));
        let seen = (fault.kind, fault.status, fault.message.as_str());
        assert_eq!(seen, (kind, told, message), "{status} {error}");
    }
}

#[test]
fn a_page_is_not_shown_to_clients() {
    let page = "<html><body>nginx at gpu.internal</body></html>";
    let fault = own(Dialect::OpenAiChat, 502, page);
    assert_eq!((fault.kind, fault.status), (ErrorKind::Api, 500));
    assert!(!fault.message.contains("nginx"), "{}", fault.message);
    assert_eq!(
        own(Dialect::OpenAiChat, 404, page).status,
        502,
        "a wrong path is the operator's mistake"
    );
    assert_eq!(own(Dialect::OpenAiChat, 302, "").status, 502);
    assert_eq!(
        own(Dialect::AnthropicMessages, 529, page).kind,
        ErrorKind::Overloaded
    );
}

#[test]
fn retry_after_stays_where_a_retry_helps() {
    let after = |status, body, value| match upstream_error(
        Family::Anthropic,
        Dialect::OpenAiChat,
        &answer(status, Some(value), body),
    ) {
        ClientError::Own(fault) => fault.retry_after,
        ClientError::Relay { .. } => None,
    };
    assert_eq!(after(429, b"{}", "7").as_deref(), Some("7"));
    let date = "Sat, 21 Nov 2026 12:00:00 GMT";
    assert_eq!(after(503, b"{}", date).as_deref(), Some(date));
    assert_eq!(after(429, b"{}", "7\r\nx: y"), None);
    assert_eq!(
        after(429, br#"{"error":{"code":"insufficient_quota"}}"#, "7"),
        None
    );
    assert_eq!(after(400, b"{}", "7"), None);
}

#[test]
fn google_tells_the_cause_and_the_delay_inside_the_body() {
    let delay = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"16.2s"}"#;
    let body = format!(
        r#"[{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{delay}]}}}}]"#
    );
    let told = |retry_after| match upstream_error(
        Family::Anthropic,
        Dialect::OpenAiChat,
        &answer(429, retry_after, body.as_bytes()),
    ) {
        ClientError::Own(fault) => (fault.kind, fault.retry_after),
        relayed @ ClientError::Relay { .. } => panic!("{relayed:?}"),
    };
    assert_eq!(told(None), (ErrorKind::RateLimit, Some("17".to_owned())));
    assert_eq!(
        told(Some("3")).1.as_deref(),
        Some("3"),
        "a header says it more plainly"
    );
    let key = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT",
        "details":[{"reason":"API_KEY_INVALID"}]}}"#;
    assert_eq!(own(Dialect::OpenAiChat, 400, key).message, REFUSED);
    for (status, word, kind) in [
        (400, "FAILED_PRECONDITION", ErrorKind::InvalidRequest),
        (403, "PERMISSION_DENIED", ErrorKind::Api),
        (404, "NOT_FOUND", ErrorKind::NotFound),
        (500, "INTERNAL", ErrorKind::Api),
        (503, "UNAVAILABLE", ErrorKind::Overloaded),
        (504, "DEADLINE_EXCEEDED", ErrorKind::Timeout),
    ] {
        let body = format!(r#"{{"error":{{"code":{status},"message":"m","status":"{word}"}}}}"#);
        assert_eq!(own(Dialect::OpenAiChat, status, &body).kind, kind, "{word}");
    }
}

#[test]
fn errors_in_the_clients_dialect_are_relayed_unless_they_speak_of_our_key() {
    let relayed = |status, kind| {
        let body = envelope(kind, "m", Some("req_x"));
        upstream_error(
            Family::Anthropic,
            Dialect::AnthropicMessages,
            &answer(status, None, &body),
        )
    };
    for (status, kind) in [
        (400, ErrorKind::InvalidRequest),
        (413, ErrorKind::RequestTooLarge),
        (529, ErrorKind::Overloaded),
    ] {
        assert_eq!(relayed(status, kind), ClientError::Relay { status });
    }
    for (status, kind) in [
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Permission),
        (400, ErrorKind::Authentication),
    ] {
        assert_eq!(relayed(status, kind), ClientError::Own(Fault::broken(REFUSED)));
    }
    assert_eq!(
        own(Dialect::AnthropicMessages, 400, r#"{"error":{"message":"m"}}"#).message,
        "m"
    );
}

#[test]
fn errors_inside_answers_are_classed_by_what_they_say() {
    let check = |body: &str, kind, status| {
        let complaint = in_answer(&Members::read(body).unwrap()).unwrap();
        let fault = fault_in_answer(&complaint);
        assert_eq!((fault.kind, fault.status), (kind, status), "{body}");
    };
    check(
        r#"{"error":{"message":"m","type":"server_error"}}"#,
        ErrorKind::Api,
        500,
    );
    check(
        r#"{"error":{"code":429,"message":"m"}}"#,
        ErrorKind::RateLimit,
        429,
    );
    check(
        r#"{"error":{"code":502,"message":"m"},"choices":[{}]}"#,
        ErrorKind::Api,
        500,
    );
    check(r#"{"error":{"code":401,"message":"m"}}"#, ErrorKind::Api, 502);
    check(r#"{"error":"overloaded"}"#, ErrorKind::Api, 500);
    check(
        r#"{"base_resp":{"status_code":1008,"status_msg":"m"}}"#,
        ErrorKind::Billing,
        402,
    );
    check(
        r#"{"base_resp":{"status_code":1004,"status_msg":"m"}}"#,
        ErrorKind::Api,
        502,
    );
    check(r#"{"base_resp":{"status_code":1000}}"#, ErrorKind::Api, 500);
}

#[test]
fn openai_clients_get_errors_of_their_api_as_they_are() {
    let told = |upstream, status, body: &str| {
        upstream_error(Family::OpenAi, upstream, &answer(status, None, body.as_bytes()))
    };
    let invalid = r#"{"error":{"message":"m","type":"invalid_request_error","param":"n","code":null}}"#;
    assert_eq!(
        told(Dialect::OpenAiChat, 400, invalid),
        ClientError::Relay { status: 400 }
    );
    let refused = ClientError::Own(Fault::broken(REFUSED));
    assert_eq!(told(Dialect::OpenAiChat, 401, invalid), refused);
    let key = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
    assert_eq!(told(Dialect::OpenAiChat, 400, key), refused);
    let odd = told(Dialect::OpenAiChat, 422, r#"{"detail":"m"}"#);
    assert_eq!(odd, ClientError::Own(Fault::new(ErrorKind::InvalidRequest, "m")));
    let foreign = told(
        Dialect::AnthropicMessages,
        529,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
    );
    assert_eq!(foreign, ClientError::Own(Fault::new(ErrorKind::Overloaded, "m")));
}

/// Status, class and body of Bedrock's error; kind and status for the client. The class stands in a header.
const BEDROCK: [(u16, &str, &str, ErrorKind, u16); 10] = {
    const PLAIN: &str = r#"{"message":"m"}"#;
    use ErrorKind as Kind;
    [
        (400, "ValidationException", PLAIN, Kind::InvalidRequest, 400),
        (
            400,
            "ServiceQuotaExceededException:http://x/",
            PLAIN,
            Kind::RateLimit,
            429,
        ),
        (
            404,
            "ResourceNotFoundException",
            r#"{"Message":"m"}"#,
            Kind::NotFound,
            404,
        ),
        (408, "ModelTimeoutException", PLAIN, Kind::Timeout, 504),
        (424, "ModelErrorException", PLAIN, Kind::Api, 500),
        (
            424,
            "ModelErrorException",
            r#"{"message":"m","originalStatusCode":400}"#,
            Kind::InvalidRequest,
            400,
        ),
        (
            424,
            "ModelErrorException",
            r#"{"message":"m","originalStatusCode":503}"#,
            Kind::Overloaded,
            529,
        ),
        (429, "ModelNotReadyException", PLAIN, Kind::RateLimit, 429),
        (429, "ThrottlingException", PLAIN, Kind::RateLimit, 429),
        (503, "ServiceUnavailableException", PLAIN, Kind::Overloaded, 529),
    ]
};

fn of_bedrock(dialect: Dialect, status: u16, class: &str, body: &str) -> ClientError {
    let refused = ErrorAnswer {
        named: Some(class),
        ..answer(status, None, body.as_bytes())
    };
    upstream_error(Family::Anthropic, dialect, &refused)
}

#[test]
fn bedrock_names_its_errors_in_a_header() {
    for (status, class, body, kind, told) in BEDROCK {
        for dialect in [Dialect::Converse, Dialect::AnthropicMessages] {
            let expected = Fault {
                status: told,
                ..Fault::new(kind, "m")
            };
            let found = of_bedrock(dialect, status, class, body);
            assert_eq!(found, ClientError::Own(expected), "{class}");
        }
    }
    for class in [
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
    ] {
        let found = of_bedrock(Dialect::Converse, 403, class, "{}");
        assert_eq!(found, ClientError::Own(Fault::broken(REFUSED)), "{class}");
    }
    let long = r#"{"message":"Input is too long for requested model."}"#;
    let found = of_bedrock(Dialect::Converse, 400, "ValidationException", long);
    let told = matches!(&found, ClientError::Own(fault) if fault.message.starts_with("prompt is too long"));
    assert!(told, "{found:?}");
}
