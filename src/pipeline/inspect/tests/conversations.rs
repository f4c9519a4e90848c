//! Conversations that go on: what was searched is not searched again, and a finding does not end them.

use super::*;

/// The ten turns after which a conversation is said to go on.
const TURNS: usize = 10;

/// A turn in which nothing is secret, long enough to be remembered.
fn turn(number: usize) -> [Value; 2] {
    let words = format!("In turn {number} the lease expired twice, and nobody noticed. ").repeat(8);
    let read = format!("File {number} says that leases are renewed by whoever holds them. ").repeat(8);
    [
        json!({ "role": "assistant", "content": [
            { "type": "text", "text": words },
            { "type": "tool_use", "id": "t", "name": "Read", "input": { "file_path": format!("src/{number}.rs") } },
        ] }),
        json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": read }] }),
    ]
}

/// The messages as they go upstream.
fn sent(inspection: &Inspection) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&redacted(inspection)).unwrap();
    body["messages"].as_array().unwrap().clone()
}

/// Goes on for ten turns; each must pass, and what was sent before must be sent again, byte for byte.
fn goes_on(mut body: Value) {
    let (detectors, memory) = (Detectors::shipped().unwrap(), memory(1));
    let mut before: Vec<Value> = Vec::new();
    for number in 0..TURNS {
        body["messages"].as_array_mut().unwrap().extend(turn(number));
        let inspection = inspect(good(&body), &detectors, &Actions::SHIPPED, &memory);
        assert_eq!(inspection.blocked(), None, "turn {number}");
        let cold = inspect(good(&body), &detectors, &Actions::SHIPPED, &super::memory(1));
        assert_eq!(inspection.findings(), cold.findings(), "turn {number}");
        assert_eq!(inspection.splices(), cold.splices(), "turn {number}");
        let now = sent(&inspection);
        assert!(
            !redacted(&inspection)
                .windows(40)
                .any(|window| window == token().as_bytes()),
            "turn {number}"
        );
        assert_eq!(now[..before.len()], before[..], "turn {number}");
        before = now;
    }
}

#[test]
fn a_conversation_goes_on_after_each_kind_of_finding() {
    let secret = format!("the key is {} and that is that", token());
    let start = |content: Value| json!({ "role": "user", "content": content });
    let call = json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Bash", "input": { "command": secret } }] });
    let result = |text: &str| json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": text }] });

    // Redacted where it stands, in every turn alike.
    goes_on(request(json!([result(&secret)])));
    let mut system = request(json!([start(json!("hello"))]));
    system["system"] = json!([{ "type": "text", "text": secret }]);
    goes_on(system);
    let mut tools = request(json!([start(json!("hello"))]));
    tools["tools"] = json!([{ "name": "Read", "description": secret, "input_schema": { "type": "object" } }]);
    goes_on(tools);
    let mut other = request(json!([start(json!("hello"))]));
    other["metadata"] = json!({ "user_id": secret });
    goes_on(other);

    // Refused while it is new; it goes on when the client takes it out, and when it keeps it as an earlier turn.
    let fresh = request(json!([start(json!(secret))]));
    assert!(inspected(&fresh).blocked().is_some());
    goes_on(request(json!([start(json!("the key is in the vault"))])));
    goes_on(fresh);

    // A refused call goes on without its secret.
    let called = request(json!([start(json!("hello")), call, result("done")]));
    assert!(inspected(&called).blocked().is_some());
    goes_on(request(json!([
        start(json!("hello")),
        turn(0)[0],
        result("done")
    ])));
}

#[test]
fn a_turn_costs_what_is_new_in_it() {
    let (detectors, memory) = (Detectors::shipped().unwrap(), memory(1));
    let mut body = request(json!([{ "role": "user", "content": "hello there, how are you?" }]));
    for number in 0..200 {
        body["messages"].as_array_mut().unwrap().extend(turn(number));
    }
    let first = inspect(good(&body), &detectors, &Actions::SHIPPED, &memory);
    let whole = first.index().text_bytes();
    assert!(first.searched_bytes() >= whole);
    body["messages"].as_array_mut().unwrap().extend(turn(200));
    let second = inspect(good(&body), &detectors, &Actions::SHIPPED, &memory);
    // Short texts are searched each time: that costs no more than knowing them.
    let short: usize = second
        .index()
        .texts()
        .iter()
        .map(|placed| placed.text.raw_len())
        .filter(|bytes| *bytes < 256)
        .sum();
    let new = second.index().text_bytes() - whole;
    assert!(
        second.searched_bytes() <= new + short,
        "{} of {}",
        second.searched_bytes(),
        whole
    );
    assert!(short < whole / 5);

    let own = Detectors::with_shipped("", &["jwt".to_owned()]).unwrap();
    let other_rules = inspect(good(&body), &own, &Actions::SHIPPED, &memory);
    assert!(other_rules.searched_bytes() > whole, "other rules look again");
    let other_tenant = inspect(good(&body), &detectors, &Actions::SHIPPED, &super::memory(2));
    assert!(
        other_tenant.searched_bytes() > whole,
        "another tenant knows nothing of it"
    );
}

#[test]
fn a_token_across_neighbouring_blocks_is_found() {
    let token = token();
    for cut in [8, 20, 32] {
        let parts = json!([
            { "type": "text", "text": format!("first half: {}", &token[..cut]) },
            { "type": "text", "text": format!("{} was the rest", &token[cut..]) },
        ]);
        let fresh = inspected(&request(json!([{ "role": "user", "content": parts }])));
        assert!(fresh.blocked().is_some(), "{cut}");
        let mut body = request(json!([{ "role": "user", "content": "hello" }]));
        body["system"] = parts;
        let inspection = inspected(&body);
        assert_eq!(inspection.kinds(), ["github-token".into()]);
        let sent: Value = serde_json::from_slice(&redacted(&inspection)).unwrap();
        let placeholder = format!(
            "[[SECRET:github-token:{}]]",
            inspection.findings()[0].fingerprint.short()
        );
        assert_eq!(sent["system"][0]["text"], format!("first half: {placeholder}"));
        assert_eq!(sent["system"][1]["text"], " was the rest");
    }
    // A label in one block gives no meaning to the next.
    let labelled = json!([{ "type": "text", "text": "Please change your password:" }, { "type": "text", "text": "Autumn2026 was rainy" }]);
    assert_eq!(
        inspected(&request(json!([{ "role": "user", "content": labelled }]))).findings(),
        []
    );
}

#[test]
fn a_token_across_a_seam_may_hold_the_beginning_of_another() {
    let letters = |count: usize, start: usize| -> String {
        let letter = |place: usize| char::from(b"qZxKvWjTbRgYcMnP"[(place * 7 + place / 5 + start) % 16]);
        (0..count).map(letter).collect()
    };
    let first = format!("sk-{}-{}", "ant-api03", letters(40, 1));
    let inner = format!("{}_{}", "hf", letters(34, 2));
    for rest in [format!("{inner}-{}AA", letters(15, 3)), inner.clone()] {
        let mut body = request(json!([{ "role": "user", "content": "hello" }]));
        body["system"] = json!([{ "type": "text", "text": first }, { "type": "text", "text": rest }]);
        let sent: Value = serde_json::from_slice(&redacted(&inspected(&body))).unwrap();
        assert!(!sent["system"].to_string().contains(&inner), "{sent}");
    }
}
