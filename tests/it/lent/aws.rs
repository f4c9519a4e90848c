//! Keys of AWS roles, lent to the upstream on Bedrock.

use std::sync::Arc;

use tokio::task::JoinSet;
use tollgate::provider::Provider;

use crate::lent::{assert_fails_closed, hello, logged, proof};
use crate::reload;
use crate::support::aws_sim::{self, COMPLAINT, IDENTITY, LENT, Lender, ROLE, session_of};
use crate::support::bedrock_sim::{self, REGION};
use crate::support::gateway::run;
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::{Gate, Step, Upstream};
use crate::support::wait::until;

/// Bedrock, whose credential is lent; `options` are further ones of the upstream.
fn setup(sim: &Upstream, options: &str) -> Setup {
    Setup::new()
        .table(&format!(
            "[[upstream]]\nname = \"sim\"\nprovider = \"bedrock\"\nendpoint = \"{}\"\ncredentials = \"platform\"\n\
             options = {{ region = \"{REGION}\"{options} }}\n",
            sim.url()
        ))
        .set("resilience", "rest_max", "\"1ms\"")
        .model(MODEL)
        .route("claude-*", &["sim"], None)
}

/// The same by a web identity, which is exchanged at this service.
fn by_web_identity(sim: &Upstream, service: &str) -> Setup {
    let setup = setup(sim, &format!(", sts_endpoint = \"{service}\"")).file("identity", IDENTITY);
    let token = setup.path("identity");
    setup
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
        .variable("AWS_ROLE_ARN", ROLE)
}

#[tokio::test]
async fn a_web_identity_is_exchanged_once_for_all_who_ask() {
    let sim = bedrock_sim::start().await;
    let (gate, lender) = (Gate::new(), Lender::new(3_600));
    let closed = gate.clone();
    let service = Upstream::start(move |got| {
        let answer = lender.assume(got);
        [vec![Step::Wait(closed.clone())], answer].concat()
    })
    .await;
    let gateway = Arc::new(by_web_identity(&sim, &service.url()).start().await);
    let key = gateway.any_key().await;
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let (gateway, key) = (Arc::clone(&gateway), key.clone());
        asked.spawn(async move { hello(&gateway, &key).await });
    }
    until("fifty requests at once", async || {
        let open = gateway
            .metric("tollgate_upstream_open_requests{upstream=\"sim\"}")
            .await?;
        (open >= 50.0).then_some(())
    })
    .await;
    gate.open();
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!((service.count(), sim.count()), (1, 50));
    // Bedrock verifies signatures; the session is one of what is signed.
    let session = sim.last().head.header("x-amz-security-token").map(str::to_owned);
    assert_eq!(session, Some(session_of("ASIA0000000000000001")));
    let sent = String::from_utf8_lossy(&sim.bytes()).into_owned();
    assert!(!sent.contains("secret+1") && !sent.contains(IDENTITY));
}

#[tokio::test]
async fn keys_are_renewed_before_their_end_and_not_used_after_it() {
    let sim = bedrock_sim::start().await;
    let lender = Lender::new(4);
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let service = Upstream::start(move |got| {
        if failing.load(std::sync::atomic::Ordering::SeqCst) {
            return vec![Step::Answer(503, Vec::new(), COMPLAINT.as_bytes().to_vec())];
        }
        lender.assume(got)
    })
    .await;
    let gateway = by_web_identity(&sim, &service.url()).start().await;
    let key = gateway.any_key().await;
    until("a renewal", async || {
        let answer = hello(&gateway, &key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (service.count() >= 3).then_some(())
    })
    .await;
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = until("the end of the last keys", async || {
        let answer = hello(&gateway, &key).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    // It was tried in time.
    logged(&gateway, "a lent credential could not be renewed").await;
    assert_fails_closed(&gateway, &answer, "trust policy", &[COMPLAINT, LENT]).await;
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    until("keys again", async || {
        (hello(&gateway, &key).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_configuration_keeps_what_was_lent_unless_it_says_otherwise() {
    let sim = bedrock_sim::start().await;
    let (service, other) = (
        Lender::new(3_600).token_service().await,
        Lender::new(3_600).token_service().await,
    );
    let gateway = by_web_identity(&sim, &service.url()).start().await;
    let key = gateway.any_key().await;
    assert_eq!(hello(&gateway, &key).await.status, 200);
    let written = gateway.home.read("tollgate.toml");
    let with_more = format!("{written}\n[[model]]\nid = \"claude-another\"\n");
    let elsewhere = with_more.replace(&service.url(), &other.url());
    for (text, generation, counts) in [(&with_more, 2.0, (1, 0)), (&elsewhere, 3.0, (1, 1))] {
        gateway.home.replace("tollgate.toml", text);
        gateway.signal("HUP");
        reload::generation(&gateway, generation).await;
        assert_eq!(hello(&gateway, &key).await.status, 200);
        assert_eq!((service.count(), other.count()), counts);
    }
}

#[tokio::test]
async fn a_refused_identity_fails_closed_and_tells_nothing() {
    let sim = bedrock_sim::start().await;
    let service = Lender::new(3_600).token_service().await;
    let other = "eyJ.other-canary-55aa.sig";
    let gateway = by_web_identity(&sim, &service.url())
        .set("log", "filter", "\"debug\"")
        .start()
        .await;
    // A service account that the role does not trust.
    gateway.home.write("identity", other);
    let key = gateway.any_key().await;
    for _ in 0..5 {
        let answer = hello(&gateway, &key).await;
        gateway.home.write("identity", "");
        assert_fails_closed(&gateway, &answer, "trust policy", &[COMPLAINT, other]).await;
        gateway.home.write("identity", other);
    }
    assert!(service.count() < 5, "a failure is remembered");
    assert_eq!(sim.count(), 0, "nothing is sent without a credential");
}

#[tokio::test]
async fn a_token_service_at_a_metadata_address_is_refused() {
    let sim = bedrock_sim::start().await;
    let gateway = by_web_identity(&sim, "https://169.254.169.254").start().await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    let fix = "no address that may be connected to";
    assert_fails_closed(&gateway, &answer, fix, &[]).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let sim = bedrock_sim::start().await;
    let elsewhere = Lender::new(3_600).token_service().await;
    let to = format!("{}/", elsewhere.url());
    let service = Upstream::start(move |_| {
        let headers = vec![("location".to_owned(), to.clone())];
        vec![Step::Answer(307, headers, Vec::new())]
    })
    .await;
    let gateway = by_web_identity(&sim, &service.url()).start().await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    assert_fails_closed(&gateway, &answer, "status 307", &[]).await;
    assert_eq!((service.count(), elsewhere.count()), (1, 0));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let sim = bedrock_sim::start().await;
    let service = Upstream::start(|_| vec![Step::Answer(200, Vec::new(), vec![b'x'; 200_000])]).await;
    let gateway = by_web_identity(&sim, &service.url()).start().await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    assert_fails_closed(&gateway, &answer, "longer than 131072 bytes", &[]).await;
}

#[tokio::test]
async fn a_container_gets_its_role_from_the_agent_beside_it() {
    let sim = bedrock_sim::start().await;
    let agent = Lender::new(3_600).agent().await;
    let setup = setup(&sim, "").file("proof", IDENTITY);
    let proof = setup.path("proof");
    let uri = format!("{}/v1/credentials", agent.url());
    let gateway = setup
        .variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)
        .variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &proof)
        .start()
        .await;
    let key = gateway.any_key().await;
    for _ in 0..2 {
        let answer = hello(&gateway, &key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(agent.count(), 1);
    let checked = gateway.cli(&["check"]).await.ok().stdout;
    let listed = format!("credentials of sim       {uri}");
    assert!(checked.contains(&listed), "{checked}");
}

#[tokio::test]
async fn what_lends_must_be_an_agent() {
    let sim = bedrock_sim::start().await;
    for uri in [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://10.0.0.1/credentials",
    ] {
        let setup = setup(&sim, "").variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
        let (home, environment) = setup.write();
        let config = home.join("tollgate.toml").to_string_lossy().into_owned();
        let checked = run(&["--config", &config, "check"], &environment).await;
        assert_eq!(checked.code, 2, "{}", checked.stderr);
        let told =
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address at which containers find credentials";
        assert!(checked.stderr.contains(told), "{}", checked.stderr);
    }
}

#[tokio::test]
async fn the_platform_has_to_be_wanted_and_wants_no_key() {
    let sim = bedrock_sim::start().await;
    let check = async |more: &str, provider: &str, told: &str| {
        let setup = Setup::new().table(&format!(
            "[[upstream]]\nname = \"sim\"\nprovider = \"{provider}\"\nendpoint = \"{}\"\n{more}\n",
            sim.url()
        ));
        let (home, environment) = setup.write();
        let config = home.join("tollgate.toml").to_string_lossy().into_owned();
        let checked = run(&["--config", &config, "check"], &environment).await;
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(said.contains(told), "{more}: {said}");
        said
    };
    let region = format!("options = {{ region = \"{REGION}\" }}\n");
    let metadata = "http://169.254.169.254:80/latest/api/token";
    check(
        &format!("credentials = \"platform\"\n{region}"),
        "bedrock",
        metadata,
    )
    .await;
    let key = format!("api_key_secret = \"upstream_key\"\n{region}");
    let said = check(&key, "bedrock", "egress: ").await;
    assert!(!said.contains("169.254"), "{said}");
    let both = format!("credentials = \"platform\"\n{key}");
    check(&both, "bedrock", "remove api_key_secret, or credentials").await;
    let alone = "credentials = \"platform\"";
    check(
        alone,
        "openai-compatible",
        "no cloud lends credentials for provider",
    )
    .await;
    check(
        "credentials = \"instance\"",
        "bedrock",
        "unknown variant `instance`",
    )
    .await;
    let static_keys = "options = { region = \"r\", access_key_id = \"AKID\" }";
    check(
        &format!("{alone}\n{static_keys}"),
        "bedrock",
        "exclude each other",
    )
    .await;
}

/// An upstream on Bedrock in this process, whose metadata service is this one.
fn opened(metadata: &Upstream) -> Box<dyn Provider> {
    crate::lent::opened("bedrock", &[("region", REGION)], metadata)
}

#[tokio::test]
async fn an_instance_gets_its_role_by_version_two_of_the_metadata_service() {
    let metadata = Lender::new(3_600).metadata().await;
    let provider = opened(&metadata);
    for _ in 0..2 {
        let proof = proof(&*provider).await.unwrap();
        assert_eq!(proof["x-amz-security-token"], session_of("ASIA0000000000000001"));
        assert!(proof["authorization"].contains("Credential=ASIA0000000000000001/"));
    }
    let asked: Vec<String> = metadata
        .requests()
        .iter()
        .map(|got| got.method().to_owned())
        .collect();
    assert_eq!(asked, ["PUT", "GET", "GET"], "once");
}

#[tokio::test]
async fn a_metadata_service_that_refuses_is_not_quoted() {
    let metadata = aws_sim::refusing().await;
    let error = proof(&*opened(&metadata)).await.unwrap_err();
    assert!(
        error.contains("status 500") && error.contains("two hops"),
        "{error}"
    );
    assert!(!error.contains(COMPLAINT), "{error}");
}
