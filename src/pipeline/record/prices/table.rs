//! The price table: read whole, or refused with every mistake.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::pipeline::record::prices::rate::Price;
use crate::types::price::WrittenPrice;

/// A mistake in a price table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceMistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A price table with mistakes: all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPrices(pub Vec<PriceMistake>);

impl fmt::Display for BadPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { "; " };
            write!(f, "{gap}line {}: {}", mistake.line, mistake.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for BadPrices {}

/// Reads a table; every model that cannot be read is a mistake of its own.
pub(super) fn read(text: &str) -> Result<HashMap<Box<str>, Price>, BadPrices> {
    let mut reading = Reading {
        text,
        mistakes: Vec::new(),
        prices: HashMap::new(),
    };
    let (table, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        reading.note(error.span().unwrap_or_default(), error.message().to_owned());
    }
    if reading.mistakes.is_empty() {
        for (key, value) in table.into_inner() {
            match (key.get_ref().as_ref(), value.into_inner()) {
                ("model", DeValue::Table(models)) => reading.models(models),
                (other, _) => {
                    let message = format!("`{other}` is no part of a price table: write [model.\"NAME\"]");
                    reading.note(key.span(), message);
                }
            }
        }
    }
    if reading.mistakes.is_empty() {
        return Ok(reading.prices);
    }
    reading.mistakes.sort_by_key(|mistake| mistake.line);
    Err(BadPrices(reading.mistakes))
}

struct Reading<'a> {
    text: &'a str,
    mistakes: Vec<PriceMistake>,
    prices: HashMap<Box<str>, Price>,
}

impl Reading<'_> {
    fn models(&mut self, models: DeTable<'_>) {
        for (name, value) in models {
            let (place, name) = (name.span(), name.get_ref());
            match Spanned::<WrittenPrice>::deserialize(ValueDeserializer::from(value)) {
                Ok(price) => {
                    for (place, message) in price.get_ref().mistakes(price.span()) {
                        self.note(place, format!("price of {name}: {message}"));
                    }
                    self.prices
                        .insert(name.as_ref().into(), Price::from(price.get_ref()));
                }
                Err(error) => {
                    let message = format!("price of {name}: {}", error.message());
                    self.note(error.span().unwrap_or(place), message);
                }
            }
        }
    }

    fn note(&mut self, place: Range<usize>, message: String) {
        let before = self.text.as_bytes().get(..place.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.mistakes.push(PriceMistake { line, message });
    }
}
