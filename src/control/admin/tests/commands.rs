//! What commands do, and what they refuse.

use super::*;
use crate::pipeline::identify::reason::Reason;

#[tokio::test]
async fn a_key_works_as_soon_as_it_is_shown_and_not_once_it_is_revoked() {
    let house = House::furnished().await;
    let (id, key) = house.create_key().await;
    let principal = house.identify(&key).await.unwrap();
    assert_eq!(principal.user_name.as_str(), "ada@acme.test");
    assert_eq!(
        (principal.roles[0].as_str(), principal.teams[0].as_str()),
        ("user", "research")
    );
    house
        .run(json!({"noun": "key", "verb": "revoke", "id": id}))
        .await
        .unwrap();
    let refused = NotIdentified::Rejected(Reason::RevokedKey);
    assert_eq!(house.identify(&key).await, Err(refused));
}

#[tokio::test]
async fn tokens_are_issued_and_revoked_alone_or_together() {
    let house = House::furnished().await;
    let ((one, first), (_, second)) = (house.issue_token().await, house.issue_token().await);
    assert!(house.identify(&first).await.is_ok());
    for _ in 0..2 {
        // Whoever is in doubt may do it again.
        let revoke = json!({"noun": "token", "verb": "revoke", "id": one});
        house.run(revoke).await.unwrap();
    }
    let refused = Err(NotIdentified::Rejected(Reason::RevokedToken));
    assert_eq!(house.identify(&first).await, refused);
    assert!(house.identify(&second).await.is_ok());
    house
        .run(json!({"noun": "token", "verb": "revoke_all", "user": ada()}))
        .await
        .unwrap();
    assert_eq!(house.identify(&second).await, refused);
    let (_, third) = house.issue_token().await;
    assert!(house.identify(&third).await.is_ok(), "issued afterwards");
}

#[tokio::test]
async fn every_change_takes_effect_and_is_recorded_first() {
    let house = House::furnished().await;
    let (_, key) = house.create_key().await;
    let steps = [
        json!({"noun": "team", "verb": "create", "tenant": "acme", "team": "ops"}),
        json!({"noun": "team", "verb": "add", "team": "ops", "user": ada()}),
        json!({"noun": "team", "verb": "remove", "team": "research", "user": ada()}),
        json!({"noun": "role", "verb": "grant", "role": "admin", "user": ada()}),
        json!({"noun": "role", "verb": "withdraw", "role": "user", "user": ada()}),
    ];
    for step in steps {
        house.run(step).await.unwrap();
    }
    let principal = house.identify(&key).await.unwrap();
    assert_eq!(
        (principal.roles[0].as_str(), principal.teams[0].as_str()),
        ("admin", "ops")
    );
    let switches = [
        (
            json!({"noun": "user", "verb": "disable", "user": ada()}),
            Some(Reason::DisabledUser),
        ),
        (json!({"noun": "user", "verb": "enable", "user": ada()}), None),
        (
            json!({"noun": "tenant", "verb": "disable", "name": "acme"}),
            Some(Reason::DisabledTenant),
        ),
        (json!({"noun": "tenant", "verb": "enable", "name": "acme"}), None),
    ];
    for (step, refused) in switches {
        house.run(step).await.unwrap();
        let outcome = house.identify(&key).await.err();
        assert_eq!(outcome, refused.map(NotIdentified::Rejected));
    }
    let expected = [
        "tenant.create",
        "user.create",
        "key.create",
        "team.create",
        "team.add",
        "team.remove",
        "role.grant",
        "role.withdraw",
        "user.disable",
        "user.enable",
        "tenant.disable",
        "tenant.enable",
    ];
    assert_eq!(house.actions(), expected.map(|action| (action, Phase::Intended)));
    let events = house.ledger.events.lock();
    let all_by_peer = events
        .iter()
        .all(|event| event.peer_uid == UID && event.tenant.is_some());
    assert!(all_by_peer);
}

#[tokio::test]
async fn impossible_commands_are_refused_and_leave_no_record() {
    let house = House::furnished().await;
    let recorded = house.actions().len();
    let nobody = json!({"tenant": "acme", "name": "bob"});
    let missing = [
        json!({"noun": "tenant", "verb": "disable", "name": "other"}),
        json!({"noun": "user", "verb": "disable", "user": nobody}),
        json!({"noun": "role", "verb": "grant", "role": "king", "user": ada()}),
        json!({"noun": "team", "verb": "add", "team": "ops", "user": ada()}),
        json!({"noun": "key", "verb": "create", "user": nobody, "name": "x"}),
        json!({"noun": "key", "verb": "list", "tenant": "other", "user": null}),
        json!({"noun": "key", "verb": "revoke", "id": "019aa000-0000-7000-8000-000000000000"}),
    ];
    for command in missing {
        let outcome = house.run(command.clone()).await;
        assert!(matches!(outcome, Err(AdminError::NotFound(_))), "{command}");
    }
    let conflicts = [
        json!({"noun": "tenant", "verb": "create", "name": "acme"}),
        json!({"noun": "tenant", "verb": "enable", "name": "acme"}),
        json!({"noun": "user", "verb": "create", "user": ada(), "roles": [], "teams": []}),
        json!({"noun": "user", "verb": "enable", "user": ada()}),
        json!({"noun": "role", "verb": "grant", "role": "user", "user": ada()}),
        json!({"noun": "role", "verb": "withdraw", "role": "admin", "user": ada()}),
        json!({"noun": "team", "verb": "add", "team": "research", "user": ada()}),
        json!({"noun": "team", "verb": "create", "tenant": null, "team": "research"}),
    ];
    for command in conflicts {
        let outcome = house.run(command.clone()).await;
        assert!(matches!(outcome, Err(AdminError::Conflict(_))), "{command}");
    }
    let invalid = [
        json!({"noun": "tenant", "verb": "create", "name": ""}),
        json!({"noun": "tenant", "verb": "create", "name": "a b"}),
        json!({"noun": "tenant", "verb": "create", "name": "a\"b"}),
        json!({"noun": "tenant", "verb": "create", "name": "a".repeat(129)}),
        json!({"noun": "key", "verb": "create", "user": ada(), "name": "a\nb"}),
        json!({"noun": "key", "verb": "create", "user": ada(), "name": "a", "expires_in_s": 0}),
        json!({"noun": "token", "verb": "issue", "user": ada(), "ttl_s": 0}),
        json!({"noun": "token", "verb": "issue", "user": ada(), "ttl_s": 86_401}),
    ];
    for command in invalid {
        let outcome = house.run(command.clone()).await;
        assert!(matches!(outcome, Err(AdminError::Invalid(_))), "{command}");
    }
    assert_eq!(house.actions().len(), recorded);
}

#[tokio::test]
async fn the_tenant_may_be_left_out_while_there_is_one() {
    let house = House::build().await;
    let create = json!({"noun": "user", "verb": "create", "user": ada(), "roles": ["user"], "teams": []});
    assert!(matches!(
        house.run(create.clone()).await,
        Err(AdminError::NotFound(_))
    ));
    house
        .run(json!({"noun": "tenant", "verb": "create", "name": "acme"}))
        .await
        .unwrap();
    house.run(create.clone()).await.unwrap();
    house
        .run(json!({"noun": "tenant", "verb": "create", "name": "other"}))
        .await
        .unwrap();
    assert!(matches!(house.run(create).await, Err(AdminError::Invalid(_))));
    let in_other = json!({"tenant": "other", "name": "ada@acme.test"});
    house
        .run(json!({"noun": "user", "verb": "create", "user": in_other, "roles": [], "teams": []}))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let house = House::furnished().await;
    let (id, key) = house.create_key().await;
    let before = house.store.identity_revision().await.unwrap();
    house.set(Mood::Broken);
    let commands = [
        json!({"noun": "tenant", "verb": "create", "name": "other"}),
        json!({"noun": "user", "verb": "disable", "user": ada()}),
        json!({"noun": "key", "verb": "revoke", "id": id}),
        json!({"noun": "key", "verb": "create", "user": ada(), "name": "x"}),
        json!({"noun": "token", "verb": "issue", "user": ada(), "ttl_s": 900}),
    ];
    for command in commands {
        let outcome = house.run(command.clone()).await;
        match outcome {
            Err(AdminError::NotRecorded(message)) => {
                assert!(message.contains("nothing was changed"), "{message}");
            }
            other => panic!("{command}: {other:?}"),
        }
    }
    assert_eq!(house.store.identity_revision().await.unwrap(), before);
    assert!(house.identify(&key).await.is_ok());
}

#[tokio::test]
async fn a_change_that_fails_after_its_record_is_recorded_as_failed_and_shows_no_key() {
    let house = House::furnished().await;
    house.set(Mood::StoreDies);
    let command = json!({"noun": "key", "verb": "create", "user": ada(), "name": "x"});
    assert!(matches!(house.run(command).await, Err(AdminError::Failed(_))));
    let actions = house.actions();
    let last_two = &actions[actions.len() - 2..];
    assert_eq!(
        last_two,
        [("key.create", Phase::Intended), ("key.create", Phase::Failed)]
    );
    let reopened = house.site.connect().await;
    assert!(reopened.identity().await.unwrap().keys.is_empty());
}

#[tokio::test]
async fn a_key_that_was_shown_is_in_the_store_of_every_other_process() {
    let house = House::furnished().await;
    let (id, _) = house.create_key().await;
    // A second connection sees committed rows only.
    let other = house.site.connect().await;
    let keys = other.identity().await.unwrap().keys;
    assert_eq!(keys[0].id.to_string(), id);
}
