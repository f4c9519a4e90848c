//! What is known about a provider by its label: data, read from TOML.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::dialect::Dialect;
use crate::dialect::openai::profile::{ChatDifferences, ChatProfile};
use crate::provider::Misconfigured;
use crate::provider::authorize::Scheme;
use crate::provider::betas::Betas;
use crate::provider::lending::Cloud;
use crate::provider::options::{self, Options};
use crate::types::destination::Destination;
use crate::types::ids::ModelName;
use crate::types::pattern::ModelPattern;

/// A provider's usual ways.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The label, as configurations, prices and policies spell it.
    pub label: Box<str>,
    /// What it is, in one sentence.
    pub summary: String,
    /// Where it lives, where there is one public address; `{name}` stands for an option.
    pub endpoint: Option<String>,
    /// What it speaks.
    pub dialect: Dialect,
    /// How it wants its key.
    pub scheme: Scheme,
    /// Whose cloud lends it credentials, where one does.
    pub cloud: Option<Cloud>,
    /// Whether thinking that is sent to it must carry the signatures of Anthropic's own models.
    pub signed_thinking: bool,
    /// The betas of Messages that it takes; `None` where it takes whatever a client names.
    pub betas: Option<Betas>,
    /// Whether an implementation of its own serves it.
    pub code: bool,
    /// What must be known about an upstream besides.
    pub options: BTreeMap<String, options::Declared>,
    /// How its chat completions differ from the plain ones.
    pub chat: ByModel,
}

impl Declaration {
    /// The declarations in a text: one table per provider, named by its label.
    ///
    /// # Errors
    /// [`BadDeclarations`] says where and why.
    pub fn read_all(text: &str) -> Result<Vec<Self>, BadDeclarations> {
        let written: BTreeMap<String, Written> =
            toml::from_str(text).map_err(|error| BadDeclarations(error.to_string()))?;
        let declarations = written.into_iter().map(|(label, written)| written.named(&label));
        Ok(declarations.collect())
    }

    /// Where an upstream with these options lives, if its operator does not say.
    ///
    /// # Errors
    /// There is no public address, or an option that it needs is none.
    pub fn public_endpoint(&self, options: &Options) -> Result<Destination, Misconfigured> {
        let missing = || {
            Misconfigured(format!(
                "endpoint is missing, and `{}` has no public one: write `endpoint = \"https://…\"`",
                self.label
            ))
        };
        let filled = options.fill(self.endpoint.as_ref().ok_or_else(missing)?)?;
        Destination::parse(&filled).map_err(|error| Misconfigured(format!("`{filled}` is {error}")))
    }
}

/// How chat completions differ from the plain ones, for all models and for some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByModel {
    usual: ChatProfile,
    exceptions: Vec<(ModelPattern, ChatProfile)>,
}

impl ByModel {
    /// The ways of this model; the first exception whose pattern fits counts.
    pub fn of(&self, model: &ModelName) -> &ChatProfile {
        let mut exceptions = self.exceptions.iter();
        let exception = exceptions.find(|(pattern, _)| pattern.matches(model.as_str()));
        exception.map_or(&self.usual, |(_, profile)| profile)
    }

    /// The ways of models that are no exception.
    pub const fn usual(&self) -> &ChatProfile {
        &self.usual
    }

    /// The patterns of models that are exceptions, in order, with their ways.
    pub fn exceptions(&self) -> impl Iterator<Item = (&ModelPattern, &ChatProfile)> {
        self.exceptions
            .iter()
            .map(|(pattern, profile)| (pattern, profile))
    }

    /// The same with what differs for all models: what an operator says of an upstream.
    #[must_use]
    pub fn with(self, differs: &ChatDifferences) -> Self {
        let exceptions = self.exceptions.into_iter();
        Self {
            usual: self.usual.with(differs),
            exceptions: exceptions
                .map(|(pattern, profile)| (pattern, profile.with(differs)))
                .collect(),
        }
    }
}

/// A text that is no set of declarations, with the place in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadDeclarations(String);

/// One declaration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: String,
    endpoint: Option<String>,
    dialect: Dialect,
    credential: Scheme,
    cloud: Option<Cloud>,
    #[serde(default)]
    signed_thinking: bool,
    betas: Option<Betas>,
    #[serde(default)]
    code: bool,
    #[serde(default)]
    options: BTreeMap<String, options::Declared>,
    #[serde(default)]
    chat: ChatDifferences,
    #[serde(default)]
    model: Vec<Exception>,
}

/// Models of a provider that differ from its others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    pattern: String,
    chat: ChatDifferences,
}

impl Written {
    fn named(self, label: &str) -> Declaration {
        let usual = ChatProfile::default().with(&self.chat);
        let exceptions = self.model.into_iter().map(|exception| {
            let profile = usual.clone().with(&exception.chat);
            (ModelPattern::new(&exception.pattern), profile)
        });
        Declaration {
            label: label.into(),
            summary: self.summary,
            endpoint: self.endpoint,
            dialect: self.dialect,
            scheme: self.credential,
            cloud: self.cloud,
            signed_thinking: self.signed_thinking,
            betas: self.betas,
            code: self.code,
            options: self.options,
            chat: ByModel {
                exceptions: exceptions.collect(),
                usual,
            },
        }
    }
}

impl fmt::Display for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "[acme]\nsummary = \"Acme.\"\ndialect = \"openai_chat\"\ncredential = \"bearer\"\n";

    fn acme(more: &str) -> Result<Declaration, BadDeclarations> {
        let mut all = Declaration::read_all(&format!("{ACME}{more}"))?;
        assert_eq!(all.len(), 1);
        Ok(all.remove(0))
    }

    #[test]
    fn unknown_keys_and_words_are_refused_with_their_line() {
        for bad in [
            "colour = 1",
            "[acme.chat]\nthinks = true",
            "[[acme.model]]\npattern = \"x\"",
        ] {
            let error = acme(bad).unwrap_err().to_string();
            assert!(error.contains("line "), "{error}");
        }
        assert!(Declaration::read_all(&ACME.replace("bearer", "cookie")).is_err());
    }

    #[test]
    fn exceptions_go_by_pattern_and_operators_have_the_last_word() {
        let declared = acme(
            "[acme.chat]\neffort = true\n[[acme.model]]\npattern = \"old-*\"\nchat = { effort = false, max_tool_id_bytes = 9 }\n",
        );
        let chat = declared.unwrap().chat;
        let old = ModelName::from("old-1");
        assert!(chat.of(&ModelName::from("new-1")).effort && chat.usual().effort);
        assert!(!chat.of(&old).effort);
        let told = chat.with(&ChatDifferences {
            effort: Some(true),
            ..ChatDifferences::default()
        });
        assert!(told.of(&old).effort);
        assert_eq!(told.of(&old).max_tool_id_bytes, 9);
    }

    #[test]
    fn an_endpoint_is_public_or_must_be_written() {
        let none = acme("").unwrap().public_endpoint(&Options::default());
        assert!(none.unwrap_err().0.contains("endpoint is missing"));
        let public = acme("endpoint = \"https://api.example.com/v1\"\n").unwrap();
        let public = public.public_endpoint(&Options::default()).unwrap();
        assert_eq!(public.to_string(), "https://api.example.com:443/v1");
    }
}
