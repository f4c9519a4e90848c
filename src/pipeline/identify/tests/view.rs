//! Losing access, and a view that ages.

use super::*;
use crate::pipeline::identify::view::{FRESH, SEEKS_PER_SECOND};

#[tokio::test]
async fn a_remembered_token_still_expires_and_still_is_revoked() {
    let house = House::build().await;
    let issued = house.issuer.issue(&house.subject(), TTL_DEFAULT).unwrap();
    let token = issued.text.expose();
    for _ in 0..2 {
        assert!(house.bearer(token).await.is_ok());
    }
    house.clock.advance(TTL_DEFAULT);
    house.view.refresh().await.unwrap();
    assert_eq!(house.refused(token).await, Reason::ExpiredToken);

    let issued = house.issuer.issue(&house.subject(), TTL_DEFAULT).unwrap();
    assert!(house.bearer(issued.text.expose()).await.is_ok());
    house
        .change(Change::RevokeToken(issued.id, issued.expires_at))
        .await;
    house.view.refresh().await.unwrap();
    assert_eq!(house.refused(issued.text.expose()).await, Reason::RevokedToken);
}

#[tokio::test]
async fn revoking_all_tokens_spares_those_issued_afterwards() {
    let house = House::build().await;
    let before = house.token();
    house
        .change(Change::User(house.user, UserChange::RevokeTokens))
        .await;
    let row = house
        .store
        .user_named(house.tenant, &"ada@acme.test".into())
        .await
        .unwrap()
        .unwrap();
    let subject = TokenSubject {
        tokens_valid_after: row.tokens_valid_after,
        ..house.subject()
    };
    let after = house.issuer.issue(&subject, TTL_DEFAULT).unwrap();
    house.view.refresh().await.unwrap();
    assert_eq!(house.refused(&before).await, Reason::RevokedToken);
    assert!(
        house.bearer(after.text.expose()).await.is_ok(),
        "in the very same second"
    );
    house
        .change(Change::User(house.user, UserChange::RevokeTokens))
        .await;
    house.view.refresh().await.unwrap();
    assert_eq!(house.refused(after.text.expose()).await, Reason::RevokedToken);
}

#[tokio::test]
async fn the_view_sees_every_way_of_losing_access() {
    let check = async |change: fn(&House) -> Change, for_key: Reason, for_token: Option<Reason>| {
        let house = House::build().await;
        let token = house.token();
        assert!(house.bearer(&house.key).await.is_ok() && house.bearer(&token).await.is_ok());
        house.change(change(&house)).await;
        assert!(house.bearer(&house.key).await.is_ok(), "not before the refresh");
        house.view.refresh().await.unwrap();
        assert_eq!(house.refused(&house.key).await, for_key);
        match for_token {
            Some(reason) => assert_eq!(house.refused(&token).await, reason),
            None => assert!(house.bearer(&token).await.is_ok()),
        }
    };
    check(
        |house| Change::Key(house.key_id, KeyChange::Revoke),
        Reason::RevokedKey,
        None,
    )
    .await;
    check(
        |house| Change::User(house.user, UserChange::Disable),
        Reason::DisabledUser,
        Some(Reason::DisabledUser),
    )
    .await;
    check(
        |house| Change::Tenant(house.tenant, TenantChange::Disable),
        Reason::DisabledTenant,
        Some(Reason::DisabledTenant),
    )
    .await;
}

#[tokio::test]
async fn a_key_expires_at_its_moment() {
    let house = House::build().await;
    let key = NewKey::draw(&SystemEntropy::new());
    let end = house.clock.now().plus(Duration::from_secs(60));
    let id = KeyId::generate(house.clock.now(), &SystemEntropy::new());
    house
        .change(Change::Key(id, create_key(house.user, &key, Some(end))))
        .await;
    assert!(
        house.bearer(key.text.expose()).await.is_ok(),
        "found by the look-up"
    );
    house.clock.advance(Duration::from_micros(59_999_999));
    assert!(house.bearer(key.text.expose()).await.is_ok());
    house.clock.advance(Duration::from_micros(1));
    assert_eq!(house.refused(key.text.expose()).await, Reason::ExpiredKey);
}

#[tokio::test]
async fn retired_signing_keys_verify_until_their_last_token_has_expired() {
    let house = House::build().await;
    let issued = house.issuer.issue(&house.subject(), TTL_MAX).unwrap();
    house
        .change(Change::SigningKey(house.signer.id(), SigningKeyChange::Retire))
        .await;
    house.view.refresh().await.unwrap();
    assert!(house.bearer(issued.text.expose()).await.is_ok());
    assert_eq!(house.view.snapshot().signers(house.clock.now()).len(), 1);
    house.clock.advance(TTL_MAX + LEEWAY);
    assert!(house.view.snapshot().signers(house.clock.now()).is_empty());
}

#[tokio::test]
async fn a_stale_view_says_cannot_verify_and_never_rejects() {
    let house = House::build().await;
    let (unknown, token) = (NewKey::draw(&SystemEntropy::new()), house.token());
    house.store.close().await;
    house.clock.advance(FRESH);
    assert!(
        house.bearer(&house.key).await.is_ok(),
        "the view serves without the store"
    );
    assert_eq!(
        house.bearer(unknown.text.expose()).await,
        Err(NotIdentified::CannotVerify),
        "nobody can say whether this key was created a moment ago"
    );
    house.clock.advance(MAX_STALENESS - FRESH);
    assert!(house.bearer(&house.key).await.is_ok(), "at the limit");
    let fresh_token = house.token();
    house.clock.advance(Duration::from_micros(1));
    for credential in [&house.key, unknown.text.expose(), &fresh_token] {
        assert_eq!(house.bearer(credential).await, Err(NotIdentified::CannotVerify));
    }
    // What is wrong in itself is wrong whatever the view says.
    assert_eq!(house.refused("tg_live_x").await, Reason::MalformedKey);
    house.clock.advance(TTL_DEFAULT);
    assert_eq!(house.refused(&token).await, Reason::ExpiredToken);
}

#[tokio::test]
async fn a_stale_view_does_not_reject_for_what_it_last_saw() {
    let changes: [fn(&House) -> Change; 3] = [
        |house| Change::User(house.user, UserChange::Disable),
        |house| Change::Tenant(house.tenant, TenantChange::Disable),
        |house| Change::Key(house.key_id, KeyChange::Revoke),
    ];
    for change in changes {
        let house = House::build().await;
        house.change(change(&house)).await;
        house.view.refresh().await.unwrap();
        house.clock.advance(MAX_STALENESS);
        assert!(matches!(
            house.bearer(&house.key).await,
            Err(NotIdentified::Rejected(_))
        ));
        house.clock.advance(Duration::from_micros(1));
        // The user may have been enabled again since.
        let outcome = house.bearer(&house.key).await;
        assert_eq!(outcome, Err(NotIdentified::CannotVerify));
    }
}

#[tokio::test]
async fn a_clock_set_back_neither_ages_nor_freezes_the_view() {
    let house = House::build().await;
    let hour = Duration::from_secs(3_600);
    house
        .clock
        .0
        .fetch_sub(i64::try_from(hour.as_micros()).unwrap(), Ordering::SeqCst);
    assert_eq!(house.view.age(house.clock.now()), Duration::ZERO);
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(house.view.age(house.clock.now()), Duration::from_secs(5));
}

#[tokio::test]
async fn unknown_keys_cause_a_bounded_number_of_refreshes() {
    let house = House::build().await;
    let unknown = NewKey::draw(&SystemEntropy::new());
    for _ in 0..SEEKS_PER_SECOND {
        assert_eq!(house.view.seek(house.clock.now()).await, Sought::Refreshed);
    }
    assert_eq!(house.view.seek(house.clock.now()).await, Sought::FreshAlready);
    assert_eq!(house.refused(unknown.text.expose()).await, Reason::UnknownKey);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.view.seek(house.clock.now()).await, Sought::Refreshed);
}

#[tokio::test]
async fn an_exhausted_search_in_an_older_view_is_no_rejection() {
    let house = House::build().await;
    house.store.close().await;
    house.clock.advance(FRESH);
    for _ in 0..SEEKS_PER_SECOND {
        house.view.seek(house.clock.now()).await;
    }
    assert_eq!(house.view.seek(house.clock.now()).await, Sought::Unreachable);
}

#[tokio::test]
async fn the_loop_polls_obeys_a_notice_and_ends() {
    let house = House::build().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let view = house.view.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        view.run(async {
            stopped.await.ok();
        })
        .await;
    });
    house.change(Change::User(house.user, UserChange::Disable)).await;
    house.view.notify();
    let until = async |standing: bool| {
        while house.bearer(&house.key).await.is_ok() != standing {
            tokio::task::yield_now().await;
        }
    };
    until(false).await;
    house.change(Change::User(house.user, UserChange::Enable)).await;
    until(true).await;
    stop.send(()).unwrap();
    tasks.join_next().await.unwrap().unwrap();
}
