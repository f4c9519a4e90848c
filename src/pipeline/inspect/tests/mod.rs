use bytes::Bytes;
use serde_json::{Value, json};

use super::bad::BadBody;
use super::finding::{Action, Blocked};
use super::index::{Index, index};
use super::inspection::{Actions, Inspection, inspect};
use super::memory::Memory;
use super::place::{Location, Place};
use super::secrets::Detectors;
use crate::dialect::operation::Operation;
use crate::dialect::splice;
use crate::types::secret::Secret;

mod bodies;
mod conversations;
mod corpus;
mod openai;
mod places;
mod responses;
mod secrets;

fn indexed(body: &str) -> Result<Index, BadBody> {
    index(&Bytes::copy_from_slice(body.as_bytes()), Operation::Messages)
}

fn good(body: &Value) -> Index {
    indexed(&body.to_string()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]
fn request(messages: Value) -> Value {
    json!({ "model": "m", "max_tokens": 10, "messages": messages })
}

fn powers(body: &Value) -> Vec<String> {
    good(body).powers().iter().map(ToString::to_string).collect()
}

fn token() -> String {
    ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()
}

fn inspected(body: &Value) -> Inspection {
    let detectors = Detectors::shipped().unwrap();
    inspect(good(body), &detectors, &Actions::SHIPPED, &memory(1))
}

fn memory(byte: u8) -> Memory {
    Memory::new(&Secret::new([byte; 32]))
}

fn redacted(inspection: &Inspection) -> Bytes {
    splice::apply(inspection.index().body(), inspection.splices()).unwrap()
}

/// The texts of a request and the kinds of places in which they stand.
fn places(body: &Value) -> Vec<(Place, String)> {
    let index = good(body);
    let texts = index.texts().iter();
    texts
        .map(|placed| (placed.place, placed.text.to_str(index.body()).into_owned()))
        .collect()
}
