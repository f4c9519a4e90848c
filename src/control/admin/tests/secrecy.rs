//! Keys and tokens appear in the answer that hands them out, and nowhere else.

use super::*;

#[tokio::test]
async fn no_listing_record_or_debug_output_holds_a_secret() {
    let house = House::furnished().await;
    let ((_, key), (_, token)) = (house.create_key().await, house.issue_token().await);
    let mut seen = String::new();
    let lists = [
        json!({"noun": "tenant", "verb": "list"}),
        json!({"noun": "user", "verb": "list", "tenant": null}),
        json!({"noun": "team", "verb": "list", "tenant": null}),
        json!({"noun": "role", "verb": "list"}),
        json!({"noun": "key", "verb": "list", "tenant": "acme", "user": "ada@acme.test"}),
    ];
    for list in lists {
        let answer = house.run(list).await.unwrap();
        seen += &format!("{answer:?}{}", serde_json::to_string(&answer).unwrap());
    }
    for event in house.ledger.events.lock().iter() {
        seen += &format!("{event:?}{}", serde_json::to_string(event).unwrap());
    }
    seen += &format!("{:?}", house.store.identity().await.unwrap());
    assert!(
        seen.contains(&key[..20]),
        "the public part is shown, so the search can find something"
    );
    assert!(!seen.contains(&key[20..30]) && !seen.contains(&key[40..]));
    assert!(!seen.contains(token.rsplit_once('.').unwrap().1));
    let command = json!({"noun": "key", "verb": "create", "user": ada(), "name": "x"});
    let answer = house.run(command).await.unwrap();
    assert!(!format!("{answer:?}").contains("tg_live_"));
}

#[tokio::test]
async fn the_database_holds_no_secret() {
    let house = House::furnished().await;
    let ((_, key), (_, token)) = (house.create_key().await, house.issue_token().await);
    house.store.close().await;
    let mut found_public_part = false;
    for bytes in house.site.contents() {
        let holds = |needle: &str| {
            bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
        };
        found_public_part |= holds(&key[8..20]);
        assert!(!holds(&key[20..30]) && !holds(token.rsplit_once('.').unwrap().1));
    }
    assert!(found_public_part, "the control");
}
