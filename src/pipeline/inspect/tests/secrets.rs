//! Secrets in requests: found, refused, taken out.

use super::*;

#[test]
fn new_secrets_block_and_name_their_place() {
    let check = |messages: Value, expected: Option<(Place, Location)>| {
        let inspection = inspected(&request(messages));
        let blocked = expected.map(|(place, location)| Blocked::Secret {
            kind: "github-token".into(),
            place,
            location,
        });
        assert_eq!(inspection.blocked(), blocked.as_ref());
        assert_eq!(inspection.findings().len(), 1);
        assert_eq!(inspection.splices().is_empty(), expected.is_some());
    };
    let secret = format!("use {} please", token());
    let newest = json!([{ "role": "user", "content": [{ "type": "text", "text": "hi" }, { "type": "text", "text": secret }] }]);
    check(newest, Some((Place::NewestUserText, Location::Block(0, 1))));
    let call = json!([
        { "role": "user", "content": "go on" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "n", "input": { "a": [{ "b": secret }] } }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "done" }] },
    ]);
    check(call, Some((Place::ToolArguments, Location::Block(1, 0))));
    let earlier = json!([{ "role": "user", "content": secret }, { "role": "assistant", "content": "no" }, { "role": "user", "content": "ok" }]);
    check(earlier, None);
    let result = json!([{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": secret }] }]);
    check(result, None);
}

#[test]
fn redaction_changes_the_secret_alone_and_is_stable() {
    let result = |text: &str| {
        request(json!([{ "role": "user", "content": [{ "type": "tool_result", "content": text }] }]))
    };
    let text = format!(
        "é \"A\"\n{}\u{1F600} and postgres://app:pä\"ss@db.internal/ {}",
        token(),
        token()
    );
    let body = result(&text);
    let inspection = inspected(&body);
    assert_eq!(inspection.blocked(), None);
    let once = redacted(&inspection);
    let placeholder = format!(
        "[[SECRET:github-token:{}]]",
        inspection.findings()[0].fingerprint.short()
    );
    let expected = result(&text.replace(&token(), &placeholder)).to_string();
    assert_eq!(once, expected);
    assert_eq!(redacted(&inspected(&body)), once);
    let again = inspected(&serde_json::from_slice(&once).unwrap());
    assert_eq!((again.findings(), again.splices()), (&[][..], &[][..]));
    let detectors = Detectors::shipped().unwrap();
    let other_tenant = inspect(good(&body), &detectors, &Actions::SHIPPED, &memory(2));
    assert_ne!(redacted(&other_tenant), once);
}

#[test]
fn escapes_hide_nothing() {
    let detectors = Detectors::shipped().unwrap();
    let token = token();
    let coded: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let spelled = [
        token.clone(),
        coded,
        token.replace('_', "\\u005F"),
        format!("\\n{token}\\t"),
    ];
    for spelling in spelled {
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"system":"{spelling}","messages":[{{"role":"user","content":"hello"}}]}}"#
        );
        let inspection = inspect(indexed(&body).unwrap(), &detectors, &Actions::SHIPPED, &memory(1));
        assert_eq!(inspection.kinds(), ["github-token".into()], "{body}");
        let clean: Value = serde_json::from_slice(&redacted(&inspection)).unwrap();
        assert!(
            clean["system"]
                .as_str()
                .unwrap()
                .contains("[[SECRET:github-token:"),
            "{clean}"
        );
    }
    let url =
        r#"{"model":"m","max_tokens":1,"system":"postgres:\/\/app:x7Kq2vLm9@db.internal","messages":[]}"#;
    let inspection = inspect(indexed(url).unwrap(), &detectors, &Actions::SHIPPED, &memory(1));
    assert_eq!(inspection.kinds(), ["url-password".into()]);
}

#[test]
fn sealed_content_and_media_are_left_alone() {
    let secret = token();
    let body = request(json!([
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": secret, "signature": secret },
            { "type": "redacted_thinking", "data": secret },
            { "type": "compaction", "encrypted_content": secret },
        ] },
        { "role": "user", "content": [{ "type": "image", "source": { "type": "base64", "data": secret } }] },
    ]));
    assert_eq!(inspected(&body).findings(), []);
}

#[test]
fn too_many_candidates_block() {
    let ids = format!("{} ", ["AK", "IAQ2M7XW4TZ5L3VBNC"].concat()).repeat(5_000);
    let inspection = inspected(&request(json!([{ "role": "assistant", "content": ids }])));
    assert!(matches!(inspection.blocked(), Some(Blocked::TooMuch { .. })));
}

#[test]
fn actions_are_a_choice() {
    let body = request(json!([{ "role": "user", "content": token() }]));
    let detectors = Detectors::shipped().unwrap();
    let actions = Actions {
        newest_user_text: Action::Flag,
        ..Actions::SHIPPED
    };
    let inspection = inspect(good(&body), &detectors, &actions, &memory(1));
    assert_eq!((inspection.blocked(), inspection.splices()), (None, &[][..]));
    assert_eq!(inspection.findings().len(), 1);
}

#[test]
fn findings_hold_no_secret() {
    let inspection = inspected(&request(json!([{ "role": "user", "content": token() }])));
    let (fourth, whole) = (
        &token()[..12],
        format!("{:?} {:?}", inspection.findings(), inspection.blocked()),
    );
    assert!(
        !whole.contains(fourth)
            && !serde_json::to_string(inspection.findings())
                .unwrap()
                .contains(fourth)
    );
}
