//! Credentials that somebody else made.

use super::*;
use crate::pipeline::identify::token::IssueError;

#[tokio::test]
async fn forged_tokens_are_refused() {
    let house = House::build().await;
    let (header, claims) = (house.header(), house.claims());
    assert!(
        house.bearer(&house.signed(&header, &claims)).await.is_ok(),
        "the control"
    );
    let other_kid = SigningKeyId::generate(house.clock.now(), &SystemEntropy::new());
    let headers = [
        (json!({"alg": "none"}), Reason::MalformedToken),
        (with(header.clone(), "alg", json!("none")), Reason::MalformedToken),
        (
            with(header.clone(), "alg", json!("HS256")),
            Reason::MalformedToken,
        ),
        (
            with(header.clone(), "alg", json!("RS256")),
            Reason::MalformedToken,
        ),
        (
            with(header.clone(), "kid", json!(other_kid)),
            Reason::UnknownSigner,
        ),
        (
            with(header.clone(), "kid", json!("../key")),
            Reason::MalformedToken,
        ),
        (without(header.clone(), "kid"), Reason::MalformedToken),
        (
            with(header.clone(), "crit", json!(["exp"])),
            Reason::MalformedToken,
        ),
    ];
    for (header, reason) in headers {
        assert_eq!(
            house.refused(&house.signed(&header, &claims)).await,
            reason,
            "{header}"
        );
    }
}

#[tokio::test]
async fn well_signed_tokens_that_say_the_wrong_thing_are_refused() {
    let house = House::build().await;
    let (header, claims) = (house.header(), house.claims());
    let now = house.clock.now().unix_seconds();
    let changed = |name: &str, field: Value| with(claims.clone(), name, field);
    let bodies = [
        (
            changed("iss", json!("https://evil.example.com")),
            Reason::WrongIssuer,
        ),
        (changed("iss", json!(format!("{ISSUER}/"))), Reason::WrongIssuer),
        (
            changed("iss", json!([ISSUER, "https://evil.example.com"])),
            Reason::MalformedToken,
        ),
        (changed("aud", json!("other")), Reason::WrongAudience),
        (
            changed("aud", json!(["tollgate", "other"])),
            Reason::MalformedToken,
        ),
        (
            changed("exp", json!(now - LEEWAY.as_secs().cast_signed())),
            Reason::ExpiredToken,
        ),
        (changed("exp", json!("4102444800")), Reason::MalformedToken),
        (
            changed("exp", json!(now + TTL_MAX.as_secs().cast_signed() + 1)),
            Reason::MalformedToken,
        ),
        (
            changed("iat", json!(now + LEEWAY.as_secs().cast_signed() + 1)),
            Reason::FutureToken,
        ),
        (
            changed("sub", json!(TokenId::from_uuid(house.tenant.as_uuid()))),
            Reason::UnknownUser,
        ),
        (changed("tid", json!(house.user)), Reason::UnknownUser),
        (changed("sub", json!("ada")), Reason::MalformedToken),
    ];
    for (body, reason) in bodies {
        assert_eq!(
            house.refused(&house.signed(&header, &body)).await,
            reason,
            "{body}"
        );
    }
    for name in ["iss", "aud", "sub", "tid", "sid", "jti", "iat", "exp"] {
        let token = house.signed(&header, &without(claims.clone(), name));
        assert_eq!(
            house.refused(&token).await,
            Reason::MalformedToken,
            "without {name}"
        );
    }
}

#[tokio::test]
async fn a_token_signed_with_our_public_key_as_hmac_secret_is_refused() {
    let house = House::build().await;
    let public = house.signer.public_key().unwrap();
    for alg in [jsonwebtoken::Algorithm::HS256, jsonwebtoken::Algorithm::HS512] {
        let mut header = jsonwebtoken::Header::new(alg);
        header.kid = Some(house.signer.id().to_string());
        let secret = jsonwebtoken::EncodingKey::from_secret(&public);
        let token = jsonwebtoken::encode(&header, &house.claims(), &secret).unwrap();
        assert_eq!(house.refused(&token).await, Reason::MalformedToken);
    }
}

#[tokio::test]
async fn a_key_in_the_header_of_a_token_is_not_believed() {
    let house = House::build().await;
    let stranger = House::build().await;
    let x = crate::pipeline::identify::token::PublicKey::new(stranger.signer.public_key().unwrap()).x();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let header = with(house.header(), "jwk", jwk);
    let token = stranger.signed(&header, &house.claims());
    assert_eq!(house.refused(&token).await, Reason::WrongSignature);
}

#[tokio::test]
async fn no_altered_token_passes() {
    let house = House::build().await;
    let token = house.token();
    assert!(house.bearer(&token).await.is_ok(), "the control, now remembered");
    for index in 0..token.len() {
        let mut bytes = token.as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(bytes).unwrap();
        assert!(house.bearer(&altered).await.is_err(), "at {index}: {altered}");
    }
    let (message, _) = token.rsplit_once('.').unwrap();
    for altered in [
        format!("{message}."),
        format!("{token}A"),
        format!("{token}="),
        format!("{token}.e30"),
        "ey..".to_owned(),
    ] {
        assert!(house.bearer(&altered).await.is_err(), "{altered}");
    }
}

#[tokio::test]
async fn lifetimes_have_limits() {
    let house = House::build().await;
    for ttl in [Duration::ZERO, TTL_MAX + Duration::from_secs(1)] {
        assert!(matches!(
            house.issuer.issue(&house.subject(), ttl),
            Err(IssueError::Lifetime)
        ));
    }
    for ttl in [Duration::from_secs(1), TTL_MAX] {
        let issued = house.issuer.issue(&house.subject(), ttl).unwrap();
        assert!(house.bearer(issued.text.expose()).await.is_ok());
    }
}

#[tokio::test]
async fn the_wrong_secret_for_a_known_key_is_an_unknown_key_even_when_revoked() {
    let house = House::build().await;
    let entropy = SystemEntropy::new();
    let other = NewKey::draw(&entropy);
    let forged = crate::pipeline::identify::key::forge(&house.key[8..20], other.text.expose());
    assert_eq!(house.refused(&forged).await, Reason::UnknownKey);
    house.change(Change::Key(house.key_id, KeyChange::Revoke)).await;
    house.view.refresh().await.unwrap();
    assert_eq!(house.refused(&forged).await, Reason::UnknownKey);
}
