//! What identifying a caller costs: nanoseconds by key, by a token seen before, and by a new token.
//!
//! `cargo bench --bench identify`

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use tollgate::pipeline::identify::Authenticator;
use tollgate::pipeline::identify::key::NewKey;
use tollgate::pipeline::identify::signing::SigningKey;
use tollgate::pipeline::identify::token::{TTL_MAX, TokenIssuer, TokenSubject};
use tollgate::pipeline::identify::view::IdentityView;
use tollgate::store::Store;
use tollgate::store::identity::change::{Change, KeyChange, TeamChange, TenantChange, UserChange};
use tollgate::types::clock::{Clock, SystemClock};
use tollgate::types::entropy::SystemEntropy;
use tollgate::types::ids::{KeyId, TenantId, UserId};
use tollgate::types::secret::Secret;
use tollgate::vault::Vault;

const ISSUER: &str = "https://ai.example.com";
const KEYS: usize = 10_000;
const ROUNDS: usize = 200_000;
const NEW_TOKENS: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let url = format!("sqlite:{}", directory.path().join("bench.db").display());
    let store = Arc::new(Store::connect(&url, None).await?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let now = clock.now();
    let vault = Vault::new(&Secret::new([7; 32]), entropy.clone())?;
    let signing = SigningKey::newest_or_new(&store, &vault, &*entropy, now).await?;
    let issuer = TokenIssuer::new(ISSUER, signing, clock.clone(), entropy.clone());
    let (tenant, user) = (
        TenantId::generate(now, &*entropy),
        UserId::generate(now, &*entropy),
    );
    let mut changes = vec![
        Change::Tenant(tenant, TenantChange::Create("acme".into())),
        Change::User(user, UserChange::Create(tenant, "ada@acme.test".into())),
        Change::User(user, UserChange::Grant("user".into())),
        Change::Team(tenant, "research".into(), TeamChange::Create),
        Change::Team(tenant, "research".into(), TeamChange::Add(user)),
    ];
    let keys: Vec<NewKey> = (0..KEYS).map(|_| NewKey::draw(&*entropy)).collect();
    changes.extend(keys.iter().map(|key| {
        let create = KeyChange::Create {
            user,
            lookup: key.lookup,
            digest: key.digest,
            name: "bench".to_owned(),
            expires_at: None,
        };
        Change::Key(KeyId::generate(now, &*entropy), create)
    }));
    store.change_identity(&changes, now).await?;
    let begin = Instant::now();
    let view = Arc::new(IdentityView::load(store, clock.clone(), Duration::from_secs(86_400)).await?);
    let loaded = begin.elapsed();
    let authenticator = Authenticator::new(view, ISSUER, clock);
    let subject = TokenSubject {
        user,
        tenant,
        tokens_valid_after: None,
    };
    let tokens = (0..NEW_TOKENS).map(|_| issuer.issue(&subject, TTL_MAX));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    let by_key: Vec<HeaderMap> = keys
        .iter()
        .map(|key| headers(key.text.expose()))
        .collect::<Result<_, _>>()?;
    let by_token: Vec<HeaderMap> = tokens
        .iter()
        .map(|token| headers(token.text.expose()))
        .collect::<Result<_, _>>()?;

    let new_token = each(&authenticator, &by_token, NEW_TOKENS).await?;
    let key = each(&authenticator, &by_key, ROUNDS).await?;
    let token = each(&authenticator, &by_token, ROUNDS).await?;
    writeln!(
        std::io::stdout(),
        "identify by key            {key:>8} ns   ({KEYS} keys)\n\
         identify by known token    {token:>8} ns   ({NEW_TOKENS} tokens)\n\
         identify by new token      {new_token:>8} ns\n\
         load {KEYS} keys           {:>8} ms",
        loaded.as_millis()
    )?;
    Ok(())
}

fn headers(credential: &str) -> Result<HeaderMap, Box<dyn Error>> {
    let mut headers = HeaderMap::new();
    let bearer = HeaderValue::from_str(&format!("Bearer {credential}"))?;
    headers.insert(http::header::AUTHORIZATION, bearer);
    Ok(headers)
}

/// Mean nanoseconds of one identification.
async fn each(
    authenticator: &Authenticator,
    callers: &[HeaderMap],
    rounds: usize,
) -> Result<u128, Box<dyn Error>> {
    let begin = Instant::now();
    for caller in callers.iter().cycle().take(rounds) {
        std::hint::black_box(authenticator.identify(caller).await?);
    }
    Ok(begin.elapsed().as_nanos() / u128::try_from(rounds)?)
}
