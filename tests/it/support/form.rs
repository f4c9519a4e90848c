//! Forms as token endpoints get them (application/x-www-form-urlencoded).

use std::collections::BTreeMap;

use crate::support::upstream::Received;

/// The fields of a form.
#[derive(Debug, Default)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// The form in a request; none where it says that it is something else.
    pub fn of(got: &Received) -> Self {
        if got.head.header("content-type") != Some("application/x-www-form-urlencoded") {
            return Self::default();
        }
        let text = String::from_utf8(got.body.clone()).expect("a form is text");
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(
            pairs
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
        )
    }

    /// A field; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                let hex = std::str::from_utf8(&hex).expect("ASCII");
                bytes.push(u8::from_str_radix(hex, 16).expect("hex digits"));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("fields are text")
}
