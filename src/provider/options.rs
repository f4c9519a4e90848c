//! What a provider must know about an upstream besides its endpoint and its credential.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::provider::Misconfigured;

/// An option, as its provider declares it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// What it is, in one sentence for the reference page.
    pub meaning: String,
    /// Whether an upstream without it makes no sense.
    #[serde(default)]
    pub required: bool,
    /// What it is where absent.
    pub default: Option<String>,
}

/// The options of one upstream, each of which its provider declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// What is written, with the defaults of what is not.
    ///
    /// # Errors
    /// An option that is not declared, or one that is missing.
    pub fn new(
        declared: &BTreeMap<String, Declared>,
        written: &BTreeMap<String, String>,
    ) -> Result<Self, Misconfigured> {
        if let Some(unknown) = written.keys().find(|name| !declared.contains_key(*name)) {
            let known: Vec<&str> = declared.keys().map(String::as_str).collect();
            let known = match known.join(", ") {
                none if none.is_empty() => "this provider has none".to_owned(),
                names => format!("this provider has {names}"),
            };
            return Err(Misconfigured(format!("option `{unknown}` is not known: {known}")));
        }
        let mut options = BTreeMap::new();
        for (name, option) in declared {
            match written.get(name).or(option.default.as_ref()) {
                Some(value) => {
                    options.insert(name.clone(), value.clone());
                }
                None if option.required => {
                    let meaning = &option.meaning;
                    return Err(Misconfigured(format!(
                        "option `{name}` is missing: write `{name} = \"…\"` under [upstream.options]. {meaning}"
                    )));
                }
                None => {}
            }
        }
        Ok(Self(options))
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of an option as one word, fit for host names and for segments of paths.
    ///
    /// # Errors
    /// It is missing, or has other characters than letters, digits, `.`, `_` and `-`.
    pub fn word(&self, name: &str) -> Result<&str, Misconfigured> {
        let value = self
            .get(name)
            .ok_or_else(|| Misconfigured(format!("option `{name}` is missing")))?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if value.is_empty() || !value.bytes().all(fits) {
            return Err(Misconfigured(format!(
                "option `{name}` may have letters, digits, `.`, `_` and `-` only"
            )));
        }
        Ok(value)
    }

    /// A text in which `{name}` stands for the option of that name.
    ///
    /// # Errors
    /// An option that is missing or is not one word.
    pub fn fill(&self, template: &str) -> Result<String, Misconfigured> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(self.word(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn declared() -> BTreeMap<String, Declared> {
        let option = |required, default: Option<&str>| Declared {
            meaning: "Which one.".to_owned(),
            required,
            default: default.map(str::to_owned),
        };
        BTreeMap::from([
            ("resource".to_owned(), option(true, None)),
            ("region".to_owned(), option(false, Some("global"))),
        ])
    }

    #[test]
    fn undeclared_and_missing_options_are_named() {
        let check = |written: &[(&str, &str)], wanted: &str| {
            let error = Options::new(&declared(), &table(written)).unwrap_err();
            assert!(error.0.contains(wanted), "{error}");
        };
        check(
            &[("resource", "r"), ("zone", "z")],
            "`zone` is not known: this provider has region, resource",
        );
        check(&[], "`resource` is missing");
    }

    #[test]
    fn templates_take_words_only() {
        let filled = |resource| {
            let options = Options::new(&declared(), &table(&[("resource", resource)])).unwrap();
            options.fill("https://{resource}.example.com/{region}")
        };
        assert_eq!(filled("acme").unwrap(), "https://acme.example.com/global");
        for bad in ["evil.example/", "a b", "", "x@y", "{region}"] {
            assert!(filled(bad).is_err(), "{bad}");
        }
    }
}
