//! Which of the betas that a client names an upstream is told of.
//!
//! Anthropic takes every name, also one that it does not know; clouds that serve its models answer 400.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::provider::Lost;

/// The header in which clients name them, separated by commas.
const HEADER: HeaderName = HeaderName::from_static("anthropic-beta");

/// The betas that an upstream takes; all others stay behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Betas {
    /// Their names.
    pub known: Vec<String>,
    /// What some are called there, by Anthropic's own name.
    #[serde(default)]
    pub renamed: BTreeMap<String, String>,
}

impl Betas {
    /// The same with those that an operator knows of, separated by commas.
    #[must_use]
    pub fn with(mut self, more: &str) -> Self {
        let names = more.split(',').map(str::trim).filter(|name| !name.is_empty());
        self.known.extend(names.map(str::to_owned));
        self
    }

    /// Those of the asked that the upstream is told of, each once and by its own names, and the others.
    pub fn of(&self, asked: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<Lost>) {
        let (mut taken, mut lost) = (Vec::new(), Vec::new());
        for beta in asked {
            let beta = self.renamed.get(&beta).cloned().unwrap_or(beta);
            if !self.known.contains(&beta) {
                lost.push(Lost {
                    path: format!("{HEADER}:{beta}"),
                    reason: "the upstream does not know it",
                });
            } else if !taken.contains(&beta) {
                taken.push(beta);
            }
        }
        (taken, lost)
    }

    /// The header that replaces the client's.
    pub fn header(&self, client: &HeaderMap) -> (HeaderName, Option<HeaderValue>) {
        let (taken, _) = self.of(asked(client));
        let value = HeaderValue::try_from(taken.join(",")).ok();
        (HEADER, value.filter(|_| !taken.is_empty()))
    }
}

/// The betas that a client's head names.
pub fn asked(client: &HeaderMap) -> Vec<String> {
    let values = client.get_all(HEADER).iter();
    let listed = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let names = listed.map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_passes_under_its_name_and_the_rest_is_told() {
        let betas = Betas {
            known: vec!["a-1".to_owned(), "search-1".to_owned()],
            renamed: BTreeMap::from([("tools-1".to_owned(), "search-1".to_owned())]),
        };
        let betas = betas.with(" mine-1 ,");
        let mut client = HeaderMap::new();
        client.append(HEADER, HeaderValue::from_static("a-1, tools-1,,strange-1"));
        client.append(HEADER, HeaderValue::from_static("search-1,mine-1"));
        let header = betas.header(&client).1.unwrap();
        assert_eq!(header, "a-1,search-1,mine-1");
        let lost = betas.of(asked(&client)).1;
        let lost: Vec<&str> = lost.iter().map(|lost| lost.path.as_str()).collect();
        assert_eq!(lost, ["anthropic-beta:strange-1"]);
        assert_eq!(Betas::default().header(&client).1, None);
    }
}
