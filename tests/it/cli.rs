//! The command line: what an operator types, and what it says when something is wrong.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection};
use crate::support::gateway::{BINARY, run};
use crate::support::home::Home;
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::Setup;

#[tokio::test]
async fn check_accepts_what_serve_would_run_and_lists_the_ways_out() {
    let sim = anthropic_sim::start().await;
    let (home, environment) = Setup::anthropic(&sim).write();
    let file = home.join("tollgate.toml");
    let output = run(&["--config", file.to_str().unwrap(), "check"], &environment)
        .await
        .ok();
    assert!(
        output.stdout.contains(&sim.url()),
        "the egress list: {}",
        output.stdout
    );
    assert!(!home.join("data/tollgate.db").exists(), "a check changes nothing");
}

#[tokio::test]
async fn check_reports_every_mistake_with_file_and_line() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim)
        .set("server", "body_bytes_max", "\"a lot\"")
        .set("server", "no_such_key", "1")
        .table("[[route]]\nmodel_pattern = \"gpt-*\"\nupstreams = [\"nowhere\"]\n");
    let (home, environment) = setup.write();
    let text = home.read("tollgate.toml");
    let file = home.join("tollgate.toml");
    for verb in ["check", "serve"] {
        let output = run(&["--config", file.to_str().unwrap(), verb], &environment).await;
        assert_ne!(output.code, 0, "{verb}");
        let told = output.stdout + &output.stderr;
        for mistake in ["a lot", "no_such_key", "nowhere"] {
            let line = text.lines().position(|line| line.contains(mistake)).unwrap() + 1;
            let place = format!("tollgate.toml:{line}:");
            assert!(told.contains(&place), "{verb}: {mistake} at {place} in:\n{told}");
        }
    }
}

#[tokio::test]
async fn a_missing_file_and_an_unset_secret_are_named() {
    let home = Home::new();
    let missing = home.join("nothing.toml");
    let output = run(&["--config", missing.to_str().unwrap(), "serve"], &[]).await;
    assert!(
        output.code != 0 && output.stderr.contains("nothing.toml"),
        "{output:?}"
    );

    let sim = anthropic_sim::start().await;
    let (home, _) = Setup::anthropic(&sim).write();
    let file = home.join("tollgate.toml");
    let output = run(&["--config", file.to_str().unwrap(), "serve"], &[]).await;
    assert!(
        output.code != 0 && output.stderr.contains("UPSTREAM_KEY"),
        "{output:?}"
    );
}

#[tokio::test]
async fn verbs_create_list_and_disable() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    gateway.cli(&["tenant", "create", "globex"]).await.ok();
    gateway
        .cli(&[
            "user",
            "create",
            "--tenant",
            "globex",
            "hank@globex.test",
            "--role",
            "user",
        ])
        .await
        .ok();
    let users = gateway
        .cli(&["user", "list", "--tenant", "globex", "--json"])
        .await
        .ok()
        .stdout;
    assert!(users.contains("hank@globex.test"), "{users}");
    let tenants = gateway.cli(&["tenant", "list", "--json"]).await.ok().stdout;
    assert!(
        tenants.contains("globex") && tenants.contains("acme"),
        "{tenants}"
    );
    let key = gateway.user("ada@acme.test", "user").await;
    let keys = gateway
        .cli(&["key", "list", "--tenant", "acme", "--json"])
        .await
        .ok()
        .stdout;
    assert!(
        keys.contains(&key.id) && !keys.contains(&key.key),
        "a key is shown once: {keys}"
    );
    gateway
        .cli(&["team", "create", "--tenant", "acme", "research"])
        .await
        .ok();
    let roles = gateway.cli(&["role", "list", "--json"]).await.ok().stdout;
    assert!(
        ["admin", "user", "service", "a2a", "mcp", "anonymous"]
            .iter()
            .all(|role| roles.contains(role)),
        "{roles}"
    );
}

#[tokio::test]
async fn mistakes_of_the_operator_are_explained() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    gateway.user("ada@acme.test", "user").await;
    let cases: [(&[&str], &str); 5] = [
        (
            &[
                "user",
                "create",
                "--tenant",
                "acme",
                "ada@acme.test",
                "--role",
                "user",
            ],
            "ada@acme.test",
        ),
        (
            &[
                "user",
                "create",
                "--tenant",
                "nowhere",
                "x@acme.test",
                "--role",
                "user",
            ],
            "nowhere",
        ),
        (
            &[
                "user",
                "create",
                "--tenant",
                "acme",
                "x@acme.test",
                "--role",
                "emperor",
            ],
            "emperor",
        ),
        (
            &["key", "create", "--tenant", "acme", "nobody@acme.test"],
            "nobody@acme.test",
        ),
        (
            &["key", "revoke", "0195b7a0-0000-7000-8000-000000000000"],
            "0195b7a0",
        ),
    ];
    for (verbs, named) in cases {
        let output = gateway.cli(verbs).await;
        assert!(
            output.code > 0 && output.stderr.contains(named),
            "{verbs:?}: {output:?}"
        );
    }
}

#[tokio::test]
async fn changes_work_while_the_node_is_down() {
    let sim = anthropic_sim::start().await;
    let mut gateway = Setup::anthropic(&sim).start().await;
    gateway.terminate();
    gateway.ended().await;
    let key = gateway.any_key().await;
    gateway.restart().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
}

#[tokio::test]
async fn one_data_folder_has_one_node() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let second = gateway.cli(&["serve"]).await;
    assert!(second.code > 0 && !second.stderr.is_empty(), "{second:?}");
    let key = gateway.any_key().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
}

#[tokio::test]
async fn version_and_help_need_no_configuration() {
    assert!(
        run(&["--version"], &[])
            .await
            .ok()
            .stdout
            .contains(env!("CARGO_PKG_VERSION"))
    );
    let help = run(&["--help"], &[]).await.ok().stdout;
    for noun in ["demo", "serve", "check", "user", "key", "ledger"] {
        assert!(help.contains(noun), "{noun} in {help}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_not_complained_to() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(BINARY)
        .arg("check")
        .env_clear()
        .stdout(writer)
        .output();
    let output = child.expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn the_demo_prints_what_a_client_needs_and_answers() {
    let home = Home::new();
    let mut demo = Command::new(BINARY)
        .args(["demo", "--listen", "127.0.0.1:0", "--data"])
        .arg(home.join("demo"))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut value = |prefix: &str| lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
    let (url, key) = (value("TOLLGATE_URL=").unwrap(), value("TOLLGATE_KEY=").unwrap());
    let address = url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let models = Connection::open(address)
        .await
        .call(&Call::new("GET", "/v1/models").key(&key))
        .await
        .json();
    let mut body = ask("hello");
    body["model"] = models["data"][0]["id"].clone();
    let answer = Connection::open(address)
        .await
        .call(&Call::messages(&key, &body))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.json()["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_lowercase();
    assert!(
        text.contains("simulat"),
        "the upstream is labelled as what it is: {text}"
    );
    let mut body = ask_stream("hello");
    body["model"] = models["data"][0]["id"].clone();
    let events = Connection::open(address)
        .await
        .call(&Call::messages(&key, &body))
        .await
        .events();
    assert_eq!(events.last().unwrap().name, "message_stop");
    demo.kill().unwrap();
    demo.wait().unwrap();
}

#[tokio::test]
async fn scan_finds_what_requests_are_searched_for_and_prints_no_secret() {
    let home = Home::new();
    let token = ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat();
    std::fs::create_dir(home.join("src")).unwrap();
    home.write("src/a.txt", "nothing here\n");
    home.write("src/b.txt", &format!("é line one\n  use {token} here\n"));
    let rows = serde_json::json!({"id": "one", "parts": ["é ", &token[..9], &token[9..]]}).to_string()
        + "\n"
        + &serde_json::json!({"id": 2, "text": "nothing"}).to_string();
    home.write("rows.jsonl", &rows);
    let scan = async |arguments: &[&str]| {
        let output = run(
            &[&["--data", home.join("data").to_str().unwrap()], arguments].concat(),
            &[],
        )
        .await;
        assert!(!output.stdout.contains(&token[8..]), "{output:?}");
        output
    };
    let folder = scan(&["scan", home.join("src").to_str().unwrap()]).await;
    assert_eq!(folder.code, 9, "{folder:?}");
    let place = home.join("src/b.txt").display().to_string();
    assert_eq!(folder.stdout, format!("{place}:2:7: github-token\n"));
    let clean = scan(&["scan", home.join("src/a.txt").to_str().unwrap()]).await;
    assert_eq!((clean.code, clean.stdout.as_str()), (0, ""));
    let lines = scan(&["scan", "--jsonl", home.join("rows.jsonl").to_str().unwrap()])
        .await
        .ok();
    let expected = [
        r#"{"id":"one","findings":[{"type":"github-token","start":3,"end":43}]}"#,
        r#"{"id":2,"findings":[]}"#,
    ];
    assert_eq!(lines.stdout.lines().collect::<Vec<_>>(), expected);
    let missing = scan(&["scan", home.join("nowhere").to_str().unwrap()]).await;
    assert!(
        missing.code == 1 && missing.stderr.contains("nowhere"),
        "{missing:?}"
    );
}
