use std::time::Duration;

use futures_util::FutureExt;

use super::change::{Change, KeyChange, TeamChange, TenantChange, UserChange};
use super::*;
use crate::store::fixture::Site;
use crate::store::{Store, StoreError};
use crate::types::entropy::{Entropy, SystemEntropy};

struct House {
    store: Store,
    tenant: TenantId,
    user: UserId,
    site: Site,
}

const NOW: Timestamp = Timestamp::from_unix_micros(1_795_262_400_500_000);

fn entropy() -> impl Entropy {
    SystemEntropy::new()
}

impl House {
    async fn build() -> Self {
        let site = Site::new();
        let house = Self {
            store: site.connect().await,
            tenant: TenantId::generate(NOW, &entropy()),
            user: UserId::generate(NOW, &entropy()),
            site,
        };
        house
            .change(&[
                Change::Tenant(house.tenant, TenantChange::Create("acme".into())),
                Change::User(house.user, UserChange::Create(house.tenant, "ada".into())),
                Change::User(house.user, UserChange::Grant("user".into())),
                Change::User(house.user, UserChange::Grant("admin".into())),
                Change::Team(house.tenant, "research".into(), TeamChange::Create),
                Change::Team(house.tenant, "research".into(), TeamChange::Add(house.user)),
            ])
            .await
            .unwrap();
        house
    }

    async fn change(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.store.change_identity(changes, NOW).await
    }

    fn new_key(&self, lookup: &str) -> Change {
        let create = KeyChange::Create {
            user: self.user,
            lookup: KeyLookup::parse(lookup).unwrap(),
            digest: Sha256::of(lookup.as_bytes()),
            name: "laptop".to_owned(),
            expires_at: Some(NOW.plus(Duration::from_secs(60))),
        };
        Change::Key(KeyId::generate(NOW, &entropy()), create)
    }
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let house = House::build().await;
    house.change(&[house.new_key("aaaaaaaaaaaa")]).await.unwrap();
    let rows = house.store.identity().await.unwrap();
    let user = &rows.users[0];
    assert_eq!(
        user.roles,
        [RoleName::from("admin"), RoleName::from("user")],
        "sorted"
    );
    assert_eq!(user.teams, [TeamName::from("research")]);
    assert_eq!((user.tenant, user.created_at), (house.tenant, NOW));
    let key = &rows.keys[0];
    assert_eq!(key.digest, Sha256::of(b"aaaaaaaaaaaa"));
    assert_eq!(house.store.key(key.id).await.unwrap().as_ref(), Some(key));
    let teams = house.store.teams(house.tenant).await.unwrap();
    assert_eq!((teams[0].name.as_str(), teams[0].members), ("research", 1));
    let found = house.store.user_named(house.tenant, &"ada".into()).await.unwrap();
    assert_eq!(found.unwrap().id, house.user);
    assert!(house.store.tenant_named(&"acm".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn six_roles_are_there_from_the_start() {
    let house = House::build().await;
    let roles = house.store.roles().await.unwrap();
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["a2a", "admin", "anonymous", "mcp", "service", "user"]);
}

#[tokio::test]
async fn every_change_raises_the_revision_and_a_failed_one_leaves_no_trace() {
    let house = House::build().await;
    let before = house.store.identity_revision().await.unwrap();
    house
        .change(&[Change::User(house.user, UserChange::Disable)])
        .await
        .unwrap();
    assert_eq!(house.store.identity_revision().await.unwrap(), before + 1);

    let half_wrong = [
        Change::User(house.user, UserChange::Enable),
        Change::Tenant(
            TenantId::generate(NOW, &entropy()),
            TenantChange::Create("acme".into()),
        ),
    ];
    assert!(matches!(
        house.change(&half_wrong).await,
        Err(StoreError::Conflict)
    ));
    let rows = house.store.identity().await.unwrap();
    assert_eq!(rows.revision, before + 1);
    assert!(rows.users[0].disabled_at.is_some(), "the first half was undone");
}

#[tokio::test]
async fn conflicts_and_empty_changes_are_told_apart() {
    let house = House::build().await;
    let other = TenantId::generate(NOW, &entropy());
    let nobody = UserId::generate(NOW, &entropy());
    house
        .change(&[
            Change::Tenant(other, TenantChange::Create("other".into())),
            Change::Team(other, "theirs".into(), TeamChange::Create),
            house.new_key("aaaaaaaaaaaa"),
        ])
        .await
        .unwrap();
    let conflicts = [
        Change::User(nobody, UserChange::Create(house.tenant, "ada".into())),
        Change::User(house.user, UserChange::Grant("king".into())),
        Change::User(nobody, UserChange::Grant("user".into())),
        // The team is of another tenant than the user.
        Change::Team(other, "theirs".into(), TeamChange::Add(house.user)),
        house.new_key("aaaaaaaaaaaa"),
    ];
    for change in conflicts {
        let outcome = house.change(std::slice::from_ref(&change)).await;
        assert!(matches!(outcome, Err(StoreError::Conflict)), "{change:?}");
    }
    let empty = [
        Change::User(house.user, UserChange::Grant("user".into())),
        Change::User(house.user, UserChange::Withdraw("mcp".into())),
        Change::User(house.user, UserChange::Enable),
        Change::User(nobody, UserChange::Disable),
        Change::Key(KeyId::generate(NOW, &entropy()), KeyChange::Revoke),
        Change::Tenant(house.tenant, TenantChange::Enable),
        Change::Team(house.tenant, "research".into(), TeamChange::Remove(nobody)),
    ];
    for change in empty {
        let outcome = house.change(std::slice::from_ref(&change)).await;
        assert!(matches!(outcome, Err(StoreError::NothingChanged)), "{change:?}");
    }
}

#[tokio::test]
async fn tokens_of_a_user_are_void_up_to_the_next_second_and_one_more_each_time() {
    let house = House::build().await;
    let revoke = [Change::User(house.user, UserChange::RevokeTokens)];
    for seconds in [1_795_262_401, 1_795_262_402] {
        house.change(&revoke).await.unwrap();
        let user = &house.store.identity().await.unwrap().users[0];
        assert_eq!(user.tokens_valid_after.unwrap().unix_seconds(), seconds);
    }
}

#[tokio::test]
async fn a_revocation_is_forgotten_once_its_token_has_expired() {
    let house = House::build().await;
    let (old, new) = (
        TokenId::generate(NOW, &entropy()),
        TokenId::generate(NOW, &entropy()),
    );
    let later = NOW.plus(Duration::from_secs(10));
    house
        .change(&[Change::RevokeToken(old, NOW), Change::RevokeToken(new, later)])
        .await
        .unwrap();
    let changes = [Change::User(house.user, UserChange::Disable)];
    house
        .store
        .change_identity(&changes, NOW.plus(Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(house.store.identity().await.unwrap().revoked_tokens, [new]);
}

#[tokio::test]
async fn rows_outlive_the_connection() {
    let house = House::build().await;
    house.store.close().await;
    let reopened = house.site.connect().await;
    assert_eq!(reopened.identity().await.unwrap().users.len(), 1);
}

#[tokio::test]
async fn changes_are_announced_where_others_can_hear() {
    let house = House::build().await;
    let mut watch = house.store.watch_identity();
    let Site::Postgres(_) = house.site else {
        let heard = watch.changed().now_or_never();
        return assert!(heard.is_none(), "SQLite has nobody to tell");
    };
    watch.changed().await;
    assert!(watch.changed().now_or_never().is_none(), "nothing changed");
    let other = house.site.connect().await;
    let changes = [Change::User(house.user, UserChange::Disable)];
    other.change_identity(&changes, NOW).await.unwrap();
    watch.changed().await;
    let failing = [Change::User(house.user, UserChange::Disable)];
    assert!(other.change_identity(&failing, NOW).await.is_err());
    assert!(watch.changed().now_or_never().is_none(), "nothing changed");
}
