//! From text to a checked [`Config`].
//!
//! A section that does not fit is read again without the value that was wrong, until nothing is
//! left to complain about: so one run names every mistake.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use crate::config::check;
use crate::config::effective::Effective;
use crate::config::file::{Config, Egress, Store};
use crate::config::mistake::{Collector, Mistake, Mistakes};

/// The defaults, as shipped.
pub const DEFAULTS: &str = include_str!("../../conf/default.toml");

/// More mistakes than this in one section are not looked for.
const MISTAKES_MAX: usize = 50;

/// What a text came to.
#[derive(Debug)]
pub struct Examined {
    /// The configuration, where every section could be understood; it may have mistakes all the same.
    pub config: Option<Config>,
    /// Every mistake; none of them is a guess from another.
    pub mistakes: Mistakes,
}

impl Examined {
    /// The configuration, if there is nothing wrong with it.
    ///
    /// # Errors
    /// Every mistake.
    pub fn into_result(self) -> Result<Config, Mistakes> {
        match self.config {
            Some(config) if self.mistakes.0.is_empty() => Ok(config),
            _ => Err(self.mistakes),
        }
    }
}

/// Reads and examines a file.
pub fn file(path: &Path, data_dir: Option<&Path>) -> Examined {
    match std::fs::read_to_string(path) {
        Ok(content) => text(&content, path, data_dir),
        Err(error) => {
            let message = format!("cannot be read: {error}; name an existing file with --config");
            Examined {
                config: None,
                mistakes: Mistakes(vec![Mistake {
                    file: path.to_owned(),
                    line: 1,
                    message,
                }]),
            }
        }
    }
}

/// Checks a text as if it stood in `path`; the empty text gives the defaults.
///
/// # Errors
/// Every mistake in the text.
pub fn from_text(content: &str, path: &Path, data_dir: Option<&Path>) -> Result<Config, Mistakes> {
    text(content, path, data_dir).into_result()
}

/// Examines a text as if it stood in `path`. A data directory given here wins over the one in the
/// text, and counts from the working directory.
pub fn text(content: &str, path: &Path, data_dir: Option<&Path>) -> Examined {
    let mut mistakes = Collector::new(path, content);
    let (table, syntax) = DeTable::parse_recoverable(content);
    for error in syntax {
        mistakes.add(error.span(), error.message());
    }
    if !mistakes.is_clean() {
        return Examined {
            config: None,
            mistakes: mistakes.into_mistakes(),
        };
    }
    let mut sections = table.into_inner();
    let written = Effective::of(&sections, content);
    overlay_defaults(&mut sections);
    let effective = Effective::of(&sections, content).written_in(&written);
    let mut config = read_sections(sections, path, effective, &mut mistakes);
    if let Some(config) = &mut config {
        check::resolve_paths(config, data_dir);
        check::values(config, &mut mistakes);
    }
    Examined {
        config,
        mistakes: mistakes.into_mistakes(),
    }
}

/// Puts every default key under what the operator wrote.
fn overlay_defaults(sections: &mut DeTable<'_>) {
    let Ok(defaults) = DeTable::parse(DEFAULTS) else {
        return;
    };
    merge(sections, defaults.into_inner());
}

fn merge<'i>(over: &mut DeTable<'i>, under: DeTable<'i>) {
    for (key, value) in under {
        match over.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut) {
            None => {
                over.insert(key, value);
            }
            Some(DeValue::Table(theirs)) => {
                if let DeValue::Table(ours) = value.into_inner() {
                    merge(theirs, ours);
                }
            }
            Some(_) => {}
        }
    }
}

fn read_sections(
    mut sections: DeTable<'_>,
    path: &Path,
    effective: Effective,
    mistakes: &mut Collector<'_>,
) -> Option<Config> {
    let server = section(&mut sections, "server", mistakes);
    let metrics = section(&mut sections, "metrics", mistakes);
    let store: Option<Store> = section(&mut sections, "store", mistakes);
    let ledger = section(&mut sections, "ledger", mistakes);
    let vault = section(&mut sections, "vault", mistakes);
    let identity = section(&mut sections, "identity", mistakes);
    let policy = section(&mut sections, "policy", mistakes);
    let prices = section(&mut sections, "prices", mistakes);
    let secret_rules = section(&mut sections, "secret_rules", mistakes);
    let timeouts = section(&mut sections, "timeouts", mistakes);
    let egress: Option<Egress> = section(&mut sections, "egress", mistakes);
    let limits = section(&mut sections, "limits", mistakes);
    let resilience = section(&mut sections, "resilience", mistakes);
    let log = section(&mut sections, "log", mistakes);
    let secrets = match sections.remove("secrets") {
        Some(value) => one(value, mistakes),
        None => Some(std::collections::BTreeMap::new()),
    };
    let tenants = list(&mut sections, "tenant", mistakes);
    let upstreams = list(&mut sections, "upstream", mistakes);
    let models = list(&mut sections, "model", mistakes);
    let routes = list(&mut sections, "route", mistakes);
    let contracts = list(&mut sections, "price", mistakes);
    refuse_rest(sections, mistakes);
    check::secret_names(
        secrets.as_ref(),
        egress.as_ref(),
        store.as_ref(),
        upstreams.as_deref(),
        mistakes,
    );
    check::references(
        upstreams.as_deref(),
        models.as_deref(),
        routes.as_deref(),
        tenants.as_deref(),
        contracts.as_deref(),
        mistakes,
    );
    Some(Config {
        file: path.to_owned(),
        folder: folder_of(path).to_owned(),
        effective,
        server: server?,
        metrics: metrics?,
        store: store?,
        ledger: ledger?,
        vault: vault?,
        identity: identity?,
        policy: policy?,
        prices: prices?,
        secret_rules: secret_rules?,
        timeouts: timeouts?,
        egress: egress?,
        limits: limits?,
        resilience: resilience?,
        log: log?,
        secrets: secrets?,
        tenants: tenants?,
        upstreams: upstreams?,
        models: models?,
        routes: routes?,
        contracts: contracts?,
    })
}

/// The folder that paths in a file are relative to.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What nobody asked for is a mistake.
fn refuse_rest(sections: DeTable<'_>, mistakes: &mut Collector<'_>) {
    for (key, _) in sections {
        let name = key.get_ref().clone();
        mistakes.add(
            Some(key.span()),
            format!("unknown section `{name}`: remove it, or correct its name"),
        );
    }
}

fn section<T: DeserializeOwned>(
    sections: &mut DeTable<'_>,
    name: &str,
    mistakes: &mut Collector<'_>,
) -> Option<T> {
    one(sections.remove(name)?, mistakes)
}

/// A list of tables; `None` when an entry does not fit.
fn list<T: DeserializeOwned>(
    sections: &mut DeTable<'_>,
    name: &str,
    mistakes: &mut Collector<'_>,
) -> Option<Vec<T>> {
    let Some(value) = sections.remove(name) else {
        return Some(Vec::new());
    };
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(entries) => {
            // All entries are read, so that each one's mistakes are named.
            let read: Vec<Option<T>> = entries.into_iter().map(|entry| one(entry, mistakes)).collect();
            read.into_iter().collect()
        }
        _ => {
            mistakes.add(
                Some(span),
                format!("`{name}` is a list: write [[{name}]] with two brackets"),
            );
            None
        }
    }
}

/// Reads one table; every value that does not fit is reported.
fn one<T: DeserializeOwned>(mut value: Spanned<DeValue<'_>>, mistakes: &mut Collector<'_>) -> Option<T> {
    for attempt in 0..MISTAKES_MAX {
        match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => return (attempt == 0).then_some(read),
            // The value that stood there was wrong and has been named already.
            Err(error) if attempt > 0 && error.message().starts_with("missing field") => return None,
            Err(error) => {
                let span = error.span();
                mistakes.add(
                    span.clone().or_else(|| Some(value.span())),
                    explain(error.message()),
                );
                let removed = span.is_some_and(|span| remove_at(value.get_mut(), &span, mistakes.text()));
                if !removed {
                    return None;
                }
            }
        }
    }
    None
}

/// Takes the entry at this place out of the table; `false` when there is none.
fn remove_at(value: &mut DeValue<'_>, span: &Range<usize>, text: &str) -> bool {
    let DeValue::Table(table) = value else {
        return false;
    };
    let within = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (_, entry) in table.iter_mut() {
        if within(entry.span()) && remove_at(entry.get_mut(), span, text) {
            return true;
        }
    }
    // A default's place counts in another text: only keys that stand in this one are meant.
    let written = |key: &Spanned<DeString<'_>>| {
        text.get(key.span())
            .is_some_and(|found| found.trim_matches(['"', '\'']) == key.get_ref().as_ref())
    };
    let wrong = table
        .iter()
        .find(|(key, entry)| written(key) && (within(key.span()) || within(entry.span())))
        .map(|(key, _)| key.get_ref().to_string());
    wrong.is_some_and(|key| table.remove(key.as_str()).is_some())
}

fn explain(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown key {rest}");
    }
    if message.contains("socket address") {
        return "not an address: write IP:PORT, such as \"127.0.0.1:8080\"".to_owned();
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<(usize, String)> {
        let found = from_text(text, Path::new("conf/t.toml"), None).unwrap_err();
        found
            .0
            .into_iter()
            .map(|mistake| (mistake.line, mistake.message))
            .collect()
    }

    #[test]
    fn the_empty_file_is_the_defaults() {
        let config = from_text("", Path::new("conf/t.toml"), None).unwrap();
        assert_eq!(config.server.body_bytes_max.0, 33_554_432);
        assert_eq!(config.store.url.get_ref(), "sqlite:conf/data/tollgate.db");
        assert_eq!(config.limits.requests_per_minute, 300);
    }

    #[test]
    fn what_is_written_overrides_key_by_key() {
        let text = "[server]\ndata_dir = \"/var/t\"\n[limits.role_multiplier]\nadmin = 2.0\n";
        let config = from_text(text, Path::new("t.toml"), None).unwrap();
        assert_eq!(config.store.url.get_ref(), "sqlite:/var/t/tollgate.db");
        assert_eq!(config.limits.role_multiplier["admin"], 2.0);
        assert_eq!(config.limits.role_multiplier["service"], 5.0);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "[server]\nlisten = [\"nowhere\"]\nbody_bytes_max = \"32 MB\"\ncolour = 1\n\
                    [servr]\n[secrets]\nk = \"sk-live-abc\"\n\
                    [[upstream]]\nname = \"a\"\nprovider = \"anthropic\"\nendpoint = \"ftp://x\"\n";
        let found = mistakes(text);
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 7, 11], "{found:?}");
        assert!(
            !format!("{found:?}").contains("sk-live-abc"),
            "a pasted secret is never repeated"
        );
    }

    #[test]
    fn references_must_lead_somewhere() {
        let text = "[[upstream]]\nname = \"a\"\nprovider = \"anthropic\"\nendpoint = \"http://x\"\n\
                    api_key_secret = \"k\"\n[[upstream]]\nname = \"a\"\nprovider = \"openai\"\nendpoint = \"http://h\"\n\
                    [[route]]\nmodel_pattern = \"*\"\nupstreams = [\"b\"]\n";
        let lines: Vec<usize> = mistakes(text).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 7, 12]);
    }

    #[test]
    fn only_postgresql_is_worth_waiting_for() {
        let waits = "[ledger]\ndurability = \"store\"\n";
        let found = mistakes(waits);
        assert!(
            matches!(&found[..], [(2, text)] if text.contains("store.url")),
            "{found:?}"
        );
        let postgres = format!("{waits}[store]\nurl = \"postgres://tollgate@127.0.0.1/tollgate\"\n");
        assert!(from_text(&postgres, Path::new("t.toml"), None).is_ok());
    }
}
