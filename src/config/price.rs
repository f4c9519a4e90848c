//! `[[price]]`: what was agreed on with a provider, which goes before the price table.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use crate::config::mistake::Collector;
use crate::types::price::{Millionths, WrittenPrice};

/// `[[price]]`: the first that fits a model counts. Either `multiplier` or `rates`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What people call it; its `model_pattern` where absent.
    pub name: Option<Spanned<String>>,
    /// The model's name as it is asked for at the upstream; `*` stands for any text.
    pub model_pattern: Spanned<String>,
    /// Only with this provider.
    pub provider: Option<String>,
    /// Only at this upstream.
    pub upstream: Option<Spanned<String>>,
    /// The listed price times this: `"0.85"` is 15 % off.
    pub multiplier: Option<Millionths>,
    /// This price instead of the listed one, with the keys of the price table.
    pub rates: Option<Spanned<WrittenPrice>>,
}

/// Notes agreements that say nothing, say it twice, or are about nobody. Upstreams are not judged where they
/// could not be read.
pub(crate) fn references(prices: &[Price], upstreams: Option<&BTreeSet<&str>>, mistakes: &mut Collector<'_>) {
    let mut names = BTreeSet::new();
    for price in prices {
        let name = price.name.as_ref().unwrap_or(&price.model_pattern);
        if !names.insert(name.get_ref()) {
            let message = format!(
                "two prices are called `{}`: give this one a name of its own, such as name = \"contract 2027\"",
                name.get_ref()
            );
            mistakes.add(Some(name.span()), message);
        }
        match (&price.multiplier, &price.rates) {
            (None, None) => mistakes.add(
                Some(price.model_pattern.span()),
                "this price says nothing: add multiplier = \"0.85\", or rates = { input = \"…\", output = \"…\" }",
            ),
            (Some(_), Some(rates)) => mistakes.add(
                Some(rates.span()),
                "multiplier and rates exclude each other: keep one of them",
            ),
            _ => {}
        }
        for (place, message) in price
            .rates
            .iter()
            .flat_map(|rates| rates.get_ref().mistakes(rates.span()))
        {
            mistakes.add(Some(place), message);
        }
        if let (Some(known), Some(name)) = (upstreams, &price.upstream)
            && !known.contains(name.get_ref().as_str())
        {
            let message = format!(
                "upstream `{}` is not declared: correct the name, or remove it to mean all",
                name.get_ref()
            );
            mistakes.add(Some(name.span()), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::read;

    #[test]
    fn agreements_that_mean_nothing_are_named_with_their_line() {
        let check = |text: &str, line: usize, word: &str| {
            let text = format!("[[price]]\nmodel_pattern = \"claude-*\"\n{text}");
            let found = read::from_text(&text, Path::new("t.toml"), None).unwrap_err().0;
            assert!(
                matches!(&found[..], [mistake] if mistake.line == line && mistake.message.contains(word)),
                "{text}: {found:?}"
            );
        };
        let rates = "rates = { input = \"1\", output = \"2\" }\n";
        check("", 2, "says nothing");
        check(&format!("multiplier = \"0.9\"\n{rates}"), 4, "exclude");
        check("multiplier = \"-1\"\n", 3, "decimal number");
        check("multiplier = 0.9\nupstream = \"nobody\"\n", 4, "nobody");
        check("multiplier = 0.9\nmultiplyer = 1\n", 4, "multiplyer");
        check("rates = { input = \"1\" }\n", 3, "output");
        check(
            "rates = { input = \"1\", output = \"2\", above = 7 }\n",
            3,
            "above",
        );
        let twice = format!("{rates}[[price]]\nmodel_pattern = \"claude-*\"\n{rates}");
        check(&twice, 5, "name");
        let fine = format!("[[price]]\nmodel_pattern = \"*\"\n{rates}");
        assert!(read::from_text(&fine, Path::new("t.toml"), None).is_ok());
    }
}
