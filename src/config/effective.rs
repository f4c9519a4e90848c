//! A configuration as a flat list of keys, values and where each was written.
//!
//! Values of secrets never stand in a configuration, only their sources; what an address may carry
//! (`scheme://user:password@host`) is taken out here.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// In the file, at this line, counted from 1.
    Line(usize),
    /// Nowhere: it is the default.
    Default,
    /// On the command line.
    Argument,
}

/// One value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value as TOML, passwords taken out.
    pub value: String,
    /// Where it comes from.
    pub written: Written,
}

/// Every key of a configuration with its value. Entries of lists are named by what names them, as
/// in `upstream.anthropic.endpoint`, else by their place, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective(BTreeMap<String, Setting>);

/// The keys by which entries of lists are told apart.
const NAMES: [&str; 3] = ["name", "id", "model_pattern"];

impl Effective {
    /// The settings of these sections, read from this text.
    pub(crate) fn of(sections: &DeTable<'_>, text: &str) -> Self {
        let mut found = Self::default();
        for (key, value) in sections {
            found.add(key.get_ref().to_string(), value, text);
        }
        found
    }

    /// Marks everything as default that does not stand in `written`.
    pub(crate) fn written_in(mut self, written: &Self) -> Self {
        for (key, setting) in &mut self.0 {
            setting.written = written.0.get(key).map_or(Written::Default, |own| own.written);
        }
        self
    }

    /// Replaces a value by one that was given as an argument.
    pub(crate) fn argue(&mut self, key: &str, value: &str) {
        let setting = Setting {
            value: toml::Value::from(value).to_string(),
            written: Written::Argument,
        };
        self.0.insert(key.to_owned(), setting);
    }

    /// All settings in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// The line at which this key, or the first one below it, is written.
    pub fn line(&self, key: &str) -> Option<usize> {
        let mut lines = self.below(key).filter_map(|(_, setting)| match setting.written {
            Written::Line(line) => Some(line),
            Written::Default | Written::Argument => None,
        });
        lines.next()
    }

    /// The keys at or below `prefix` (all, where it is empty) whose values differ in `other`, missing ones included.
    pub fn differing<'a>(&'a self, other: &'a Self, prefix: &'a str) -> Vec<&'a str> {
        let gone = other.below(prefix).filter(|(key, _)| !self.0.contains_key(*key));
        let new = self.below(prefix).filter(|(key, setting)| {
            let theirs = other.0.get(*key);
            theirs.is_none_or(|theirs| theirs.value != setting.value)
        });
        let mut keys: Vec<&str> = new.chain(gone).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// The same without one key.
    #[cfg(test)]
    pub(crate) fn without(&self, key: &str) -> Self {
        let mut left = self.clone();
        left.0.remove(key);
        left
    }

    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Setting)> {
        self.iter().filter(move |(key, _)| {
            let rest = key.strip_prefix(prefix);
            prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    fn add(&mut self, key: String, value: &Spanned<DeValue<'_>>, text: &str) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (name, value) in table {
                    self.add(format!("{key}.{}", name.get_ref()), value, text);
                }
            }
            DeValue::Array(entries) if entries.iter().any(|entry| is_table(entry.get_ref())) => {
                for (index, entry) in entries.iter().enumerate() {
                    let name = name_of(entry.get_ref()).unwrap_or_else(|| (index + 1).to_string());
                    self.add(format!("{key}.{name}"), entry, text);
                }
            }
            plain => {
                let before = text.get(..value.span().start).unwrap_or_default();
                let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                let value = toml::Value::deserialize(ValueDeserializer::from(Spanned::new(
                    value.span(),
                    plain.clone(),
                )));
                let setting = Setting {
                    value: value.map_or_else(|_| String::new(), |value| without_password(&value.to_string())),
                    written: Written::Line(line),
                };
                self.0.insert(key, setting);
            }
        }
    }
}

const fn is_table(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_))
}

fn name_of(entry: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = entry else {
        return None;
    };
    let named = NAMES.iter().find_map(|name| table.get(*name))?;
    match named.get_ref() {
        DeValue::String(name) => Some(name.to_string()),
        _ => None,
    }
}

/// The text with the password of every address in it replaced by `***`.
pub fn without_password(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after.find(['/', '?', '#', '"', ' ']).unwrap_or(after.len());
        let (authority, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split_once(':').map_or(user, |(name, _)| name);
                clean.push_str(user);
                clean.push_str(":***@");
                clean.push_str(host);
            }
            None => clean.push_str(authority),
        }
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(text: &str) -> Effective {
        Effective::of(&DeTable::parse(text).unwrap().into_inner(), text)
    }

    #[test]
    fn keys_are_flat_and_know_their_lines() {
        let text =
            "[server]\nlisten = [\"127.0.0.1:1\"]\n[[upstream]]\nname = \"a\"\nport = 3\n[[tenant]]\nx = 1\n";
        let found = effective(text);
        let flat: Vec<(&str, &str)> = found
            .iter()
            .map(|(key, setting)| (key, setting.value.as_str()))
            .collect();
        let expected = [
            ("server.listen", "[\"127.0.0.1:1\"]"),
            ("tenant.1.x", "1"),
            ("upstream.a.name", "\"a\""),
            ("upstream.a.port", "3"),
        ];
        assert_eq!(flat, expected);
        assert_eq!(found.line("upstream.a.port"), Some(5));
        assert_eq!(found.line("upstream.a"), Some(4), "the first line below it");
        assert_eq!(found.line("nowhere"), None);
    }

    #[test]
    fn what_differs_is_named_new_changed_and_gone() {
        let old = effective("[a]\nsame = 1\nchanged = 1\ngone = 1\n[b]\nother = 1\n");
        let new = effective("[a]\nsame = 1\nchanged = 2\nnew = 1\n[b]\nother = 2\n");
        assert_eq!(new.differing(&old, "a"), ["a.changed", "a.gone", "a.new"]);
        assert!(new.differing(&new, "a").is_empty());
        assert!(effective("[ab]\nx = 1\n").differing(&old, "a.b").is_empty());
    }

    #[test]
    fn passwords_in_addresses_are_taken_out() {
        let check = |text: &str, expected: &str| assert_eq!(without_password(text), expected);
        check(
            "\"postgres://t:pa@ss@db:5432/t?x=y\"",
            "\"postgres://t:***@db:5432/t?x=y\"",
        );
        check(
            "[\"http://a:b@h\", \"http://u\"]",
            "[\"http://a:***@h\", \"http://u\"]",
        );
        check("sqlite:data/t.db", "sqlite:data/t.db");
    }
}
