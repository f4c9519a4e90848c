//! The mock upstream of the vectors is itself to be trusted.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::format::http::post;
use super::format::mock::{Mock, Script};
use super::format::transcript::Transcript;

fn playing(transcript: &str, template: bool) -> Mock {
    let mock = Mock::start().unwrap();
    let stream = Transcript::read(transcript).unwrap();
    mock.play(Script {
        stream,
        template,
        cut: None,
        whole: Some(json!({"whole": true})),
        after_chunk: || {},
    });
    mock
}

#[test]
fn answers_stream_whole_and_filled_in() {
    let mock = playing(
        "! status 207\n! header x-y: z\n> a\\xc3\n> \\xa4{{t[1].n}}\\n\n! eof\n",
        true,
    );
    let asked = r#"{"stream":true,"t":[{},{"n":"ü"}]}"#;
    let answer = post(mock.address(), "/001/chat/completions", &[], asked).unwrap();
    assert_eq!((answer.status(), answer.header("x-y")), (207, Some("z")));
    assert_eq!(
        (answer.body.as_slice(), answer.complete),
        ("aäü\n".as_bytes(), true)
    );
    assert_eq!(mock.received()[0].0, "/001/chat/completions");
    assert_eq!(mock.received()[0].1["t"][1]["n"], "ü");
    let whole = post(mock.address(), "/", &[], "{}").unwrap();
    assert_eq!(whole.body, br#"{"whole":true}"#);
}

#[test]
fn a_reset_leaves_the_body_without_its_end() {
    let mock = playing("> abc\n! reset\n", false);
    let answer = post(mock.address(), "/", &[], r#"{"stream":true}"#).unwrap();
    assert_eq!(
        (answer.body.as_slice(), answer.complete),
        (b"abc".as_slice(), false)
    );
}

#[test]
fn every_chunk_keeps_its_borders() {
    let mock = playing("> a\n> bc\n> \n! eof\n", false);
    let mut stream = TcpStream::connect(mock.address()).unwrap();
    let body = r#"{"stream":true}"#;
    let head = format!(
        "POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.ends_with("\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
        "{answer}"
    );
}
