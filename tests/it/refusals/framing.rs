//! Heads and framings that two readers could understand differently: refused, never guessed.

use crate::refusals::{Table, Wanted, invalid};
use crate::support::client::{Call, Connection};
use crate::support::prompt::ask;
use crate::support::wait::within;

const SMUGGLED: &str = "GET /v1/models HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// A POST with these further header lines and this framed body.
fn post(key: &str, lines: &str, body: &str) -> Vec<u8> {
    format!("POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-api-key: {key}\r\n{lines}\r\n{body}")
        .into_bytes()
}

fn whole() -> String {
    ask("hello").to_string()
}

fn in_one_chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[tokio::test]
async fn a_length_and_an_encoding_together() {
    let mut table = Table::new(|setup| setup).await;
    let length = format!("Content-Length: {}\r\n", whole().len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let wanted = invalid(&["content-length", "transfer-encoding"]);
    for (case, lines) in [
        ("length first", format!("{length}{chunked}")),
        ("encoding first", format!("{chunked}{length}")),
    ] {
        let bytes = post(&table.key, &lines, &in_one_chunk(&whole()));
        table.refuses_bytes(case, &bytes, false, wanted).await;
    }
    let smuggling = post(
        &table.key,
        &format!("Content-Length: 5\r\n{chunked}"),
        &format!("0\r\n\r\n{SMUGGLED}"),
    );
    table
        .refuses_bytes("a request behind the last chunk", &smuggling, false, wanted)
        .await;
    table.finish_unrecorded(true).await;
}

/// Bytes that HTTP itself forbids: a 400, or a closed connection where not even the head can be trusted;
/// nothing of it upstream, one answer at most, and the next client is served.
async fn check_rejected(cases: Vec<(&str, String)>) {
    let mut table = Table::new(|setup| setup).await;
    for (case, lines_and_body) in cases {
        let bytes = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-api-key: {}\r\n{lines_and_body}",
            table.key
        );
        rejects(&mut table, case, bytes.as_bytes()).await;
    }
    table.finish_unrecorded(true).await;
}

async fn rejects(table: &mut Table, case: &str, bytes: &[u8]) {
    let before = table.sim.bytes().len();
    let mut connection = Connection::open(table.gateway.address).await;
    connection.send(bytes).await;
    connection.finish().await;
    let told = String::from_utf8_lossy(&within(case, connection.rest()).await).into_owned();
    let status = told.split(' ').nth(1).unwrap_or("closed").to_owned();
    if !["400", "408", "411", "413", "431", "501", "505", "closed"].contains(&status.as_str()) {
        table.fail(case, &format!("answered {status}: {told}"));
    }
    if told.matches("HTTP/1.1 ").count() > 1 {
        table.fail(case, &format!("answered twice: {told}"));
    }
    table.has_sent_nothing_and_still_serves(case, before).await;
}

#[tokio::test]
async fn lengths_that_are_none() {
    let body = whole();
    let length = |value: &str| format!("Content-Length: {value}\r\n\r\n{body}");
    let two =
        |one: usize, other: usize| format!("Content-Length: {one}\r\nContent-Length: {other}\r\n\r\n{body}");
    check_rejected(vec![
        ("two that differ", two(body.len(), body.len() - 1)),
        ("two that agree", two(body.len(), body.len())),
        ("a list that differs", length(&format!("{}, 5", body.len()))),
        ("a plus sign", length(&format!("+{}", body.len()))),
        ("negative", length("-1")),
        ("hexadecimal", length("0x20")),
        ("a word", length("many")),
        ("empty", length("")),
        ("beyond 64 bits", length("99999999999999999999999")),
        ("a space inside", length("1 0")),
    ])
    .await;
}

#[tokio::test]
async fn encodings_that_are_not_chunked() {
    let body = in_one_chunk(&whole());
    let encoding = |value: &str| format!("Transfer-Encoding: {value}\r\n\r\n{body}");
    check_rejected(vec![
        ("unknown", encoding("xchunked")),
        ("identity", encoding("identity")),
        ("gzip before chunked", encoding("gzip, chunked")),
        ("chunked before identity", encoding("chunked, identity")),
        ("chunked twice", encoding("chunked, chunked")),
        (
            "two headers",
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{body}"),
        ),
        ("a control character", encoding("\x0bchunked")),
        ("quoted", encoding("\"chunked\"")),
        (
            "a space before the colon",
            format!("Transfer-Encoding : chunked\r\n\r\n{body}"),
        ),
        (
            "a tab before the colon",
            format!("Transfer-Encoding\t: chunked\r\n\r\n{body}"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn chunks_that_are_none() {
    let chunked = |framed: &str| format!("Transfer-Encoding: chunked\r\n\r\n{framed}");
    let body = whole();
    check_rejected(vec![
        ("no digits", chunked(&format!("\r\n{body}\r\n0\r\n\r\n"))),
        (
            "no hexadecimal digits",
            chunked(&format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "a sign",
            chunked(&format!("+{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        ),
        (
            "a prefix",
            chunked(&format!("0x{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        ),
        (
            "beyond 64 bits",
            chunked(&format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "almost 64 bits",
            chunked(&format!("ffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "longer than said",
            chunked(&format!("{:x}\r\n{body}xx\r\n0\r\n\r\n", body.len())),
        ),
        (
            "shorter than said",
            chunked(&format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len() + 2)),
        ),
        (
            "an endless extension",
            chunked(&format!(
                "{:x};{}\r\n{body}\r\n0\r\n\r\n",
                body.len(),
                "x".repeat(200_000)
            )),
        ),
    ])
    .await;
}

#[tokio::test]
async fn heads_that_are_none() {
    let body = whole();
    let rest = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    check_rejected(vec![
        ("a folded header", format!("x-folded: one\r\n two\r\n{rest}")),
        (
            "a folded length",
            format!("Content-Length:\r\n {}\r\n\r\n{body}", body.len()),
        ),
        ("a header without colon", format!("nonsense\r\n{rest}")),
        ("a header without name", format!(": nonsense\r\n{rest}")),
        ("a space in a name", format!("x name: v\r\n{rest}")),
        ("a nul in a value", format!("x-nul: a\0b\r\n{rest}")),
        (
            "a bare carriage return in a value",
            format!("x-cr: a\rb: c\r\n{rest}"),
        ),
        ("8-bit in a name", format!("x-n\u{e4}me: v\r\n{rest}")),
        (
            "100 KB in one header",
            format!("x-big: {}\r\n{rest}", "b".repeat(100_000)),
        ),
        (
            "1,000 headers",
            format!("{}{rest}", "x-many: v\r\n".repeat(1_000)),
        ),
        ("two hosts", format!("Host: other.test\r\n{rest}")),
    ])
    .await;
}

#[tokio::test]
async fn bare_line_feeds() {
    let mut table = Table::new(|setup| setup).await;
    let body = whole();
    let key = table.key.clone();
    let all = format!(
        "POST /v1/messages HTTP/1.1\nHost: gateway.test\nx-api-key: {key}\nContent-Length: {}\n\n{body}",
        body.len()
    );
    rejects(&mut table, "everywhere", all.as_bytes()).await;
    let one = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\nx-api-key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    rejects(&mut table, "in one line", one.as_bytes()).await;
    let hidden = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-api-key: {key}\r\nx-a: b\nTransfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    rejects(&mut table, "hiding an encoding", hidden.as_bytes()).await;
    let chunk = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-api-key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\n{body}\n0\n\n",
        body.len()
    );
    rejects(&mut table, "in chunk lines", chunk.as_bytes()).await;
    table.finish_unrecorded(true).await;
}

#[tokio::test]
async fn request_lines_that_are_none() {
    let mut table = Table::new(|setup| setup).await;
    let huge = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    for (case, bytes) in [
        ("nonsense", "hello\r\n\r\n"),
        ("no version", "GET /v1/models\r\n\r\n"),
        (
            "a version of tomorrow",
            "GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n",
        ),
        ("HTTP/2 without being asked", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (
            "a TLS hello",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n",
        ),
        (
            "a space in the path",
            "GET /v1/ models HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        ("a huge path", huge.as_str()),
    ] {
        rejects(&mut table, case, bytes.as_bytes()).await;
    }
    table.finish_unrecorded(true).await;
}

#[tokio::test]
async fn a_refused_framing_ends_the_connection() {
    let table = Table::new(|setup| setup).await;
    let lines = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let bytes = post(&table.key, lines, &format!("0\r\n\r\n{SMUGGLED}"));
    let mut connection = Connection::open(table.gateway.address).await;
    connection.send(&bytes).await;
    let told = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert_eq!(
        told.matches("HTTP/1.1 ").count(),
        1,
        "one answer, then the end: {told}"
    );
    table.finish_unrecorded(true).await;
}

#[tokio::test]
async fn a_body_left_unread_is_not_taken_for_a_request() {
    let mut table = Table::new(|setup| setup).await;
    let wanted = Wanted {
        status: 401,
        kind: "authentication_error",
        words: &[],
    };
    let body = format!("{SMUGGLED}{}", "x".repeat(100));
    let call = Call::post_bytes("/v1/messages", body.into_bytes()).key("tg_live_wrong");
    table.refuses("before", &call, wanted).await;
    let mut connection = Connection::open(table.gateway.address).await;
    connection
        .send(&[call.head_bytes(), call.body_bytes()].concat())
        .await;
    assert_eq!(connection.answer("POST").await.unwrap().status, 401);
    connection.finish().await;
    let told = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert!(
        !told.contains("HTTP/1.1 "),
        "the body was read as a request: {told}"
    );
    table.finish_unrecorded(true).await;
}
