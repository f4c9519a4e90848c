//! The binary runs, and requests come through the provider that this crate brings along.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as Acme saw it.
struct Seen {
    head: String,
    body: Vec<u8>,
}

/// Acme's server: answers each connection once, in lines cut in the middle where the path says so.
fn acme(listener: &TcpListener, seen: &Sender<Seen>) {
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let (head, body) = read(&mut reader);
        let lines = head.starts_with("POST /v9/clusters/north/messages/lines ");
        let answer = if lines {
            answer_in_lines()
        } else {
            vec![whole().to_string()]
        };
        let kind = if lines {
            "application/jsonl"
        } else {
            "application/json"
        };
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        for piece in answer {
            connection.write_all(piece.as_bytes()).unwrap();
            connection.flush().unwrap();
        }
        // Whoever waits for it may be gone after a failure.
        let _ = seen.send(Seen { head, body });
    }
}

fn read(from: &mut impl std::io::BufRead) -> (String, Vec<u8>) {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).unwrap();
    (head, body)
}

fn whole() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "bolt",
        "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 1}})
}

fn answer_in_lines() -> Vec<String> {
    let text = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"bolt","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":0}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .join("\n")
        + "\n";
    // Cut inside lines, and never at their ends.
    let bytes: Vec<char> = text.chars().collect();
    bytes.chunks(37).map(|piece| piece.iter().collect()).collect()
}

/// The gateway; killed when dropped.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test runs the binary that it tests")]
fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-provider"));
    command
        .arg("--config")
        .arg(config)
        .env_clear()
        .env("ACME_KEY", "acme-key-1");
    command.stdin(Stdio::null());
    command
}

fn output(config: &Path, arguments: &[&str]) -> String {
    let output = command(config).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Starts the binary, and waits until it says where it listens.
fn start(config: &Path, folder: &Path) -> (Gateway, SocketAddr) {
    let log = folder.join("gateway.log");
    let file = File::create(&log).unwrap();
    let child = command(config)
        .arg("gateway")
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn();
    let gateway = Gateway(child.unwrap());
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(&log).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix("listening on "));
        if let Some(address) = found.and_then(|address| address.trim().parse().ok()) {
            return (gateway, address);
        }
        assert!(begun.elapsed() < PATIENCE, "it does not start: {text}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn ask(at: SocketAddr, key: &str, body: &Value) -> (u16, String) {
    let mut connection = TcpStream::connect(at).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.to_string();
    write!(
        connection,
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

fn configuration(upstream: SocketAddr, options: &str) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [[tenant]]\nname = \"t\"\n[secrets]\nacme = \"env:ACME_KEY\"\n[[model]]\nid = \"bolt\"\n\
         [[upstream]]\nname = \"acme\"\nprovider = \"acme\"\nendpoint = \"http://{upstream}/v9\"\n\
         api_key_secret = \"acme\"\n{options}\
         [[route]]\nmodel_pattern = \"bolt\"\nupstreams = [\"acme\"]\n"
    )
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE).expect("Acme was not asked")
}

#[test]
fn requests_come_through_the_provider_of_this_crate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let (sender, seen) = channel();
    thread::spawn(move || acme(&listener, &sender));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tollgate.toml");
    fs::write(
        &config,
        configuration(upstream, "[upstream.options]\ncluster = \"north\"\n"),
    )
    .unwrap();
    let (_gateway, at) = start(&config, folder.path());
    output(
        &config,
        &["user", "create", "--tenant", "t", "a@t.test", "--role", "user"],
    );
    let created = output(&config, &["--json", "key", "create", "--tenant", "t", "a@t.test"]);
    let created: Value = serde_json::from_str(&created).unwrap();
    let key = created["key"].as_str().unwrap();

    let mut body = json!({"model": "bolt", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let (status, answer) = ask(at, key, &body);
    assert!(status == 200 && answer.contains(r#""text":"hello""#), "{answer}");
    check(&next(&seen), "whole", 1);

    body["stream"] = json!(true);
    let (status, answer) = ask(at, key, &body);
    assert_eq!(status, 200, "{answer}");
    for part in [
        "event: message_start\n",
        r#""text":"hello""#,
        "event: message_stop\n",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert!(!answer.contains("event: error"), "{answer}");
    check(&next(&seen), "lines", 2);
}

/// What the provider says about a request has come to Acme, and the client's key has not.
fn check(seen: &Seen, kind: &str, number: u64) {
    let target = format!("/v9/clusters/north/messages/{kind}");
    let proof = format!(
        "x-acme-proof: acme-key-1;{number};{};{target}\r\n",
        seen.body.len()
    );
    let head = seen.head.to_lowercase();
    for part in [
        &format!("post {target} http/1.1\r\n"),
        &proof,
        "x-acme-model: bolt\r\n",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    assert!(
        !head.contains("anthropic-version") && !head.contains("tg_live_"),
        "{head}"
    );
    assert!(seen.body.starts_with(br#"{"acme_edition":3,"#));
}

#[test]
fn settings_that_make_no_upstream_are_mistakes_with_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tollgate.toml");
    fs::write(&config, configuration(SocketAddr::from(([127, 0, 0, 1], 9)), "")).unwrap();
    let output = command(&config).arg("check").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        told.contains("tollgate.toml:") && told.contains("option `cluster` is missing"),
        "{told}"
    );
}
