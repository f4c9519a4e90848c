use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use clap::Parser;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::control::admin::error::AdminError;
use crate::control::admin::socket::{Reply, SOCKET_NAME};
use crate::types::secret::Secret;

#[derive(Parser)]
struct Root {
    #[command(subcommand)]
    nouns: Nouns,
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    let arguments = std::iter::once("tollgate").chain(line.split_whitespace());
    Root::try_parse_from(arguments).map(|root| root.nouns.command())
}

#[test]
fn arguments_become_commands() {
    let check = |line: &str, expected: Value| {
        let command = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(serde_json::to_value(command).unwrap(), expected, "{line}");
    };
    let ada = |tenant: Value| json!({"tenant": tenant, "name": "ada@acme.test"});
    check(
        "tenant create acme",
        json!({"noun": "tenant", "verb": "create", "name": "acme"}),
    );
    check(
        "user create --tenant acme ada@acme.test --role user --team research",
        json!({"noun": "user", "verb": "create", "user": ada(json!("acme")), "roles": ["user"],
               "teams": ["research"]}),
    );
    check(
        "user create ada@acme.test --role admin --role mcp --team a --team b",
        json!({"noun": "user", "verb": "create", "user": ada(json!(null)), "roles": ["admin", "mcp"],
               "teams": ["a", "b"]}),
    );
    check(
        "user create ada@acme.test",
        json!({"noun": "user", "verb": "create", "user": ada(json!(null)), "roles": ["user"], "teams": []}),
    );
    check(
        "key create --tenant acme ada@acme.test --name laptop --expires 90d",
        json!({"noun": "key", "verb": "create", "user": ada(json!("acme")), "name": "laptop",
               "expires_in_s": 7_776_000}),
    );
    check(
        "key revoke 019aa000-0000-7000-8000-000000000000",
        json!({"noun": "key", "verb": "revoke", "id": "019aa000-0000-7000-8000-000000000000"}),
    );
    check(
        "key list",
        json!({"noun": "key", "verb": "list", "tenant": null, "user": null}),
    );
    check(
        "token issue --tenant acme ada@acme.test --ttl 15m",
        json!({"noun": "token", "verb": "issue", "user": ada(json!("acme")), "ttl_s": 900}),
    );
    check(
        "token issue ada@acme.test",
        json!({"noun": "token", "verb": "issue", "user": ada(json!(null)), "ttl_s": 900}),
    );
    check(
        "token revoke-all ada@acme.test",
        json!({"noun": "token", "verb": "revoke_all", "user": ada(json!(null))}),
    );
    check(
        "team add ops ada@acme.test",
        json!({"noun": "team", "verb": "add", "team": "ops", "user": ada(json!(null))}),
    );
    check(
        "role withdraw user ada@acme.test --tenant acme",
        json!({"noun": "role", "verb": "withdraw", "role": "user", "user": ada(json!("acme"))}),
    );
}

#[test]
fn wrong_usage_has_exit_code_two() {
    let lines = [
        "tenant",
        "tenant create",
        "key create ada --name x --expires soon",
        "key revoke laptop",
        "token issue ada --ttl 1.5h",
    ];
    for line in lines {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

/// A place to print that the test can read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

fn shown(answer: &Answer, json: bool) -> (String, String) {
    let (results, remarks) = (Page::default(), Page::default());
    let mut output = Output::to(json, Box::new(results.clone()), Box::new(remarks.clone()));
    present::present(answer, &mut output).unwrap();
    (results.text(), remarks.text())
}

fn new_key() -> Answer {
    Answer::KeyCreated {
        id: "019aa000-0000-7000-8000-000000000000".parse().unwrap(),
        key: Secret::new("tg_live_x".to_owned()),
        expires_at: None,
    }
}

#[test]
fn a_new_key_is_the_only_thing_on_standard_output() {
    let (results, remarks) = shown(&new_key(), false);
    assert_eq!(results, "tg_live_x\n");
    assert!(remarks.contains("shown this once") && !remarks.contains("tg_live_x"));
    let (results, remarks) = shown(&new_key(), true);
    let expected =
        json!({"id": "019aa000-0000-7000-8000-000000000000", "key": "tg_live_x", "expires_at": null});
    assert_eq!(serde_json::from_str::<Value>(&results).unwrap(), expected);
    assert_eq!(remarks, "");
}

/// Answers one connection at the admin socket of this directory with these bytes.
fn answer_once(directory: &tempfile::TempDir, reply: Vec<u8>) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(directory.path().join(SOCKET_NAME)).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(&stream);
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        (&stream).write_all(&reply).unwrap();
    })
}

fn run(directory: &tempfile::TempDir, offline: Offline<'_>) -> Result<String, NotDone> {
    let page = Page::default();
    let mut output = Output::to(true, Box::new(page.clone()), Box::new(Page::default()));
    let nouns = Root::try_parse_from(["tollgate", "tenant", "list"])
        .unwrap()
        .nouns;
    nouns.run(directory.path(), offline, &mut output)?;
    Ok(page.text())
}

fn never(_: Command) -> Result<Answer, NotDone> {
    panic!("a node is running: nothing may happen behind its back")
}

#[test]
fn the_running_node_is_asked_first_and_its_word_is_final() {
    let directory = tempfile::tempdir().unwrap();
    let reply = |reply: &Reply| {
        let path = directory.path().join(SOCKET_NAME);
        std::fs::remove_file(path).ok();
        let mut line = serde_json::to_vec(reply).unwrap();
        line.push(b'\n');
        answer_once(&directory, line)
    };
    let node = reply(&Reply::Ok(Answer::Tenants { tenants: vec![] }));
    assert_eq!(run(&directory, &never).unwrap(), "[]\n");
    node.join().unwrap();
    let cases = [
        (AdminError::Invalid(String::new()), 2),
        (AdminError::NotFound(String::new()), 3),
        (AdminError::Conflict(String::new()), 3),
        (AdminError::Refused(String::new()), 4),
        (AdminError::NotRecorded(String::new()), 1),
        (AdminError::Failed(String::new()), 1),
    ];
    for (error, code) in cases {
        let node = reply(&Reply::Error(error));
        assert_eq!(run(&directory, &never).unwrap_err().exit_code(), code);
        node.join().unwrap();
    }
}

#[test]
fn a_node_that_breaks_off_is_unreachable_and_not_replaced() {
    for reply in [Vec::new(), b"{\"ok\":".to_vec()] {
        let directory = tempfile::tempdir().unwrap();
        let node = answer_once(&directory, reply);
        assert_eq!(run(&directory, &never).unwrap_err().exit_code(), 4);
        node.join().unwrap();
    }
}

#[test]
fn without_a_node_the_command_is_carried_out_here() {
    let directory = tempfile::tempdir().unwrap();
    let here = |command: Command| {
        assert!(matches!(command, Command::Tenant(_)));
        Ok(Answer::Tenants { tenants: vec![] })
    };
    assert_eq!(run(&directory, &here).unwrap(), "[]\n", "no socket at all");
    drop(UnixListener::bind(directory.path().join(SOCKET_NAME)).unwrap());
    assert_eq!(run(&directory, &here).unwrap(), "[]\n", "a dead socket");
}
