//! What clients send, and what comes of it.

use super::*;

/// What clients really send, case by case.
#[tokio::test]
async fn the_credential_matrix_of_clients() {
    let house = House::build().await;
    let (key, token) = (house.key.as_str(), house.token());
    for credential in [key, &token] {
        let bearer = format!("Bearer {credential}");
        let accepted: [&[(&'static str, &str)]; 6] = [
            // ANTHROPIC_AUTH_TOKEN; SDK 2.x with api_key; Desktop with scheme `bearer`.
            &[("authorization", &bearer)],
            // ANTHROPIC_API_KEY; Desktop with scheme `x-api-key`; Foundry.
            &[("x-api-key", credential)],
            // apiKeyHelper: both headers, the same value.
            &[("authorization", &bearer), ("x-api-key", credential)],
            &[("x-api-key", credential), ("authorization", &bearer)],
            &[("authorization", &format!("bearer  {credential}"))],
            // A placeholder left empty beside the real one.
            &[("x-api-key", ""), ("authorization", &bearer)],
        ];
        for headers in accepted {
            let principal = house.identify(headers).await.unwrap();
            assert_eq!(principal.user, house.user);
            assert_eq!(principal.user_name.as_str(), "ada@acme.test");
            assert_eq!(principal.tenant_name.as_str(), "acme");
            assert_eq!(principal.roles[0].as_str(), "user");
            assert_eq!(principal.teams[0].as_str(), "research");
        }
    }
    let both = [
        ("authorization", &*format!("Bearer {key}")),
        ("x-api-key", &*token),
    ];
    let refused: [(&[(&'static str, &str)], NotIdentified); 5] = [
        (&both, NotIdentified::Rejected(Reason::TwoCredentials)),
        (&[], NotIdentified::Missing),
        (
            &[("authorization", "Basic YTpi")],
            NotIdentified::Rejected(Reason::NotBearer),
        ),
        (
            &[("x-api-key", "sk-ant-api03-abc")],
            NotIdentified::Rejected(Reason::Unrecognised),
        ),
        (
            &[("x-user-id", "ada@acme.test"), ("x-tenant", "acme")],
            NotIdentified::Missing,
        ),
    ];
    for (headers, expected) in refused {
        assert_eq!(house.identify(headers).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn the_session_is_the_keys_id_or_the_tokens_sid() {
    let house = House::build().await;
    let by_key = house.bearer(&house.key).await.unwrap();
    assert_eq!(by_key.credential, Credential::ApiKey(house.key_id));
    assert_eq!(by_key.session.as_str(), house.key_id.to_string());
    let token = house.signed(&house.header(), &house.claims());
    let by_token = house.bearer(&token).await.unwrap();
    assert_eq!(by_token.session.as_str(), "s");
    assert!(matches!(by_token.credential, Credential::Token(_)));
}

#[tokio::test]
async fn a_user_without_roles_has_none() {
    let house = House::build().await;
    house
        .change(Change::User(house.user, UserChange::Withdraw("user".into())))
        .await;
    house.view.refresh().await.unwrap();
    assert!(house.bearer(&house.key).await.unwrap().roles.is_empty());
}

#[test]
fn messages_say_what_to_do_and_have_codes_of_their_own() {
    let reasons = [
        Reason::TwoCredentials,
        Reason::Empty,
        Reason::NotBearer,
        Reason::Unrecognised,
        Reason::MalformedKey,
        Reason::UnknownKey,
        Reason::RevokedKey,
        Reason::ExpiredKey,
        Reason::ExpiredToken,
        Reason::RevokedToken,
        Reason::FutureToken,
        Reason::DisabledUser,
        Reason::DisabledTenant,
    ];
    let mut codes: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), reasons.len());
    for reason in reasons {
        let message = NotIdentified::Rejected(reason).client_text();
        assert!(message.ends_with('.') && message.len() > 30, "{message}");
    }
}
