//! Several equal upstreams: each session keeps to one, failures move its own sessions only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::reload::generation;
use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, run};
use crate::support::prompt::ask;
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::{Gate, Step, Upstream};
use crate::support::wait::until;

const SESSIONS: usize = 24;

/// Upstreams behind one route with this more in it.
fn setup(upstreams: &[(&str, &Upstream)], more: &str) -> Setup {
    let names: Vec<&str> = upstreams.iter().map(|(name, _)| *name).collect();
    let setup = Setup::new()
        .set("resilience", "retry_percent", "100")
        .model(MODEL);
    let with = |setup: Setup, (name, upstream): &(&str, &Upstream)| {
        setup.upstream(name, "anthropic", &upstream.url())
    };
    upstreams.iter().fold(setup, with).table(&format!(
        "[[route]]\nmodel_pattern = \"claude-*\"\nupstreams = {names:?}\n{more}\n"
    ))
}

fn of_session(key: &str, session: usize) -> Call {
    Call::messages(key, &ask("hello")).header("x-claude-code-session-id", &format!("session-{session}"))
}

/// Which of these upstreams answers the session.
async fn answering(gateway: &Gateway, key: &str, session: usize, upstreams: &[&Upstream]) -> usize {
    let before: Vec<usize> = upstreams.iter().map(|upstream| upstream.count()).collect();
    let answer = gateway.call(&of_session(key, session)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut grown = (0..upstreams.len()).filter(|place| upstreams[*place].count() > before[*place]);
    let place = grown.next().unwrap();
    assert!(grown.next().is_none(), "one upstream is asked");
    place
}

#[tokio::test]
async fn sessions_keep_to_their_upstreams_and_one_that_fails_moves_its_own() {
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let (a, c) = (anthropic_sim::start().await, anthropic_sim::start().await);
    let b = Upstream::start(move |request| {
        if told.load(Ordering::SeqCst) {
            anthropic_sim::refuses(529)
        } else {
            anthropic_sim::respond(request)
        }
    })
    .await;
    let gateway = setup(&[("a", &a), ("b", &b), ("c", &c)], "balance = \"weighted\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let mut own = Vec::new();
    for session in 0..SESSIONS {
        own.push(answering(&gateway, &key, session, &[&a, &b, &c]).await);
    }
    for (session, own) in own.iter().enumerate() {
        assert_eq!(
            answering(&gateway, &key, session, &[&a, &b, &c]).await,
            *own,
            "session {session}"
        );
    }
    assert!((0..3).all(|place| own.contains(&place)), "all are used: {own:?}");

    fails.store(true, Ordering::SeqCst);
    let mut second = Vec::new();
    for session in 0..SESSIONS {
        second.push([0, 2][answering(&gateway, &key, session, &[&a, &c]).await]);
    }
    let stayed = |(own, now): (&usize, &usize)| *own == 1 || own == now;
    assert!(own.iter().zip(&second).all(stayed), "{own:?} {second:?}");

    // Without the one that fails, its sessions go where they went while it failed.
    let config = gateway.home.read("tollgate.toml");
    let less = config.replace("[\"a\", \"b\", \"c\"]", "[\"c\", \"a\"]");
    assert_ne!(config, less);
    gateway.home.write("tollgate.toml", &less);
    generation(&gateway, 2.0).await;
    for (session, second) in second.iter().enumerate() {
        let now = [0, 2][answering(&gateway, &key, session, &[&a, &c]).await];
        assert_eq!(now, *second, "session {session}");
    }
}

#[tokio::test]
async fn weights_share_out_sessions_and_none_means_a_spare() {
    let (a, b) = (anthropic_sim::start().await, anthropic_sim::start().await);
    let more = "balance = \"weighted\"\nweights = { a = 0, b = 1 }";
    let gateway = setup(&[("a", &a), ("b", &b)], more).start().await;
    let key = gateway.any_key().await;
    for session in 0..SESSIONS {
        assert_eq!(answering(&gateway, &key, session, &[&a, &b]).await, 1);
    }
    let test = [
        "route",
        "test",
        "--json",
        "--as",
        "ada@acme.test",
        "--model",
        MODEL,
        "--session",
        "session-1",
    ];
    let told = gateway.cli(&test).await.json();
    let names: Vec<&str> = (0..2)
        .map(|place| told["candidates"][place]["upstream"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[tokio::test]
async fn what_is_foretold_for_a_session_is_what_happens() {
    let (a, b) = (anthropic_sim::start().await, anthropic_sim::start().await);
    let gateway = setup(&[("a", &a), ("b", &b)], "balance = \"weighted\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    for session in 0..8 {
        let id = format!("session-{session}");
        let test = [
            "route",
            "test",
            "--json",
            "--as",
            "ada@acme.test",
            "--model",
            MODEL,
            "--session",
            &id,
        ];
        let told = gateway.cli(&test).await.json();
        let expected = ["a", "b"][answering(&gateway, &key, session, &[&a, &b]).await];
        assert_eq!(told["candidates"][0]["upstream"], expected, "{id}");
    }
}

/// Requests of one session at once: how many are at each of two upstreams, and which is the session's own.
async fn at_once(balance: &str, requests: usize) -> ([usize; 2], usize) {
    let gate = Gate::new();
    let holding = |gate: Gate| {
        Upstream::start(move |request| {
            let mut script = vec![Step::Wait(gate.clone())];
            script.extend(anthropic_sim::respond(request));
            script
        })
    };
    let (a, b) = (holding(gate.clone()).await, holding(gate.clone()).await);
    let more = format!("balance = \"{balance}\"");
    let gateway = setup(&[("a", &a), ("b", &b)], &more).start().await;
    let key = gateway.any_key().await;
    let call = of_session(&key, 1);
    let mut running = Vec::new();
    let mut own = 0;
    for sent in 1..=requests {
        let mut connection = gateway.connect().await;
        connection.send(&call.head_bytes()).await;
        connection.send(&call.body_bytes()).await;
        running.push(connection);
        until("the request is at an upstream", async || {
            (a.count() + b.count() == sent).then_some(())
        })
        .await;
        if sent == 1 {
            own = b.count();
        }
    }
    let counts = [a.count(), b.count()];
    gate.open();
    for mut connection in running {
        assert_eq!(connection.answer("POST").await.unwrap().status, 200);
    }
    // When the others are through, the session is back where its cache is.
    until("nothing runs", async || {
        (a.is_idle() && b.is_idle()).then_some(())
    })
    .await;
    assert_eq!(answering(&gateway, &key, 1, &[&a, &b]).await, own);
    (counts, own)
}

#[tokio::test]
async fn a_session_with_much_to_do_is_helped_out_where_load_counts() {
    let (counts, own) = at_once("least_loaded", 9).await;
    assert!(counts[own] >= counts[1 - own], "{counts:?}");
    assert!(counts[1 - own] >= 2, "{counts:?}");
    let (counts, own) = at_once("weighted", 9).await;
    assert_eq!(
        (counts[own], counts[1 - own]),
        (9, 0),
        "weights alone look at no load"
    );
}

#[tokio::test]
async fn weights_that_make_no_sense_are_named() {
    let a = anthropic_sim::start().await;
    for (more, told) in [
        ("weights = { a = 1 }", "balance"),
        ("balance = \"weighted\"\nweights = { z = 1 }", "`z`"),
        ("balance = \"weighted\"\nweights = { a = 0 }", "every weight is 0"),
        ("balance = \"weighted\"\nweights = { a = 1001 }", "at most 1000"),
        ("balance = \"fair\"", "fair"),
    ] {
        let (home, environment) = setup(&[("a", &a)], more).write();
        let text = home.read("tollgate.toml");
        let mark = more.lines().last().unwrap();
        let line = text.lines().position(|line| line == mark).unwrap() + 1;
        let file = home.join("tollgate.toml");
        let output = run(&["--config", file.to_str().unwrap(), "check"], &environment).await;
        let said = output.stdout + &output.stderr;
        assert_ne!(output.code, 0, "{more}");
        assert!(
            said.contains(&format!("tollgate.toml:{line}:")) && said.contains(told),
            "{more}: {said}"
        );
    }
}
