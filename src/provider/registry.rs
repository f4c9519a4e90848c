//! All providers by label: those of this crate, and those that a crate which depends on it brings along.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::provider::declaration::{BadDeclarations, Declaration};
use crate::provider::declared::Declared;
use crate::provider::options::Options;
use crate::provider::{Misconfigured, Provider, Settings};
use crate::types::destination::Destination;

/// Declarations in the format of `conf/providers.toml`, submitted by `inventory::submit!`.
#[derive(Debug)]
pub struct Declarations(pub &'static str);

/// Makes an upstream from its declaration and settings.
pub type Open = fn(&Declaration, &Settings) -> Result<Box<dyn Provider>, Misconfigured>;

/// Says where an upstream with these options lives.
pub type Endpoint = fn(&Options) -> Result<Destination, Misconfigured>;

/// The code of a provider whose declaration says `code = true`, submitted by `inventory::submit!`.
#[derive(Debug)]
pub struct Code {
    /// The label that it serves.
    pub label: &'static str,
    /// Where an upstream lives that has no endpoint written, where the declaration's template does not say.
    pub endpoint: Option<Endpoint>,
    /// Makes one upstream.
    pub open: Open,
}

inventory::collect!(Declarations);
inventory::collect!(Code);

inventory::submit! {
    Declarations(include_str!("../../conf/providers.toml"))
}

/// What was submitted does not fit together: a defect of whoever built this binary.
#[derive(Debug, thiserror::Error)]
pub enum BadRegistry {
    /// A text is no set of declarations.
    #[error("the declarations of providers cannot be read: {0}")]
    Unreadable(#[from] BadDeclarations),
    /// Two declarations or implementations have one label.
    #[error("provider `{0}` is there twice")]
    Twice(Box<str>),
    /// Declaration and code do not agree on whether there is code.
    #[error("provider `{0}` has code and no declaration that says so, or the other way round")]
    Unmatched(Box<str>),
}

/// All providers.
#[derive(Debug)]
pub struct Registry(BTreeMap<Box<str>, (Declaration, Option<&'static Code>)>);

impl Registry {
    /// Everything that was submitted.
    ///
    /// # Errors
    /// [`BadRegistry`].
    pub fn collect() -> Result<Self, BadRegistry> {
        let texts = inventory::iter::<Declarations>.into_iter().map(|text| text.0);
        Self::new(texts, inventory::iter::<Code>.into_iter())
    }

    fn new<'t>(
        texts: impl Iterator<Item = &'t str>,
        code: impl Iterator<Item = &'static Code>,
    ) -> Result<Self, BadRegistry> {
        let mut all = BTreeMap::new();
        for text in texts {
            for declaration in Declaration::read_all(text)? {
                match all.entry(declaration.label.clone()) {
                    Entry::Occupied(there) => return Err(BadRegistry::Twice(there.key().clone())),
                    Entry::Vacant(free) => free.insert((declaration, None)),
                };
            }
        }
        for code in code {
            match all.get_mut(code.label) {
                Some((_, Some(_))) => return Err(BadRegistry::Twice(code.label.into())),
                Some((_, free)) => *free = Some(code),
                None => return Err(BadRegistry::Unmatched(code.label.into())),
            }
        }
        let unmatched = all
            .values()
            .find(|(declaration, code)| declaration.code != code.is_some());
        match unmatched {
            Some((declaration, _)) => Err(BadRegistry::Unmatched(declaration.label.clone())),
            None => Ok(Self(all)),
        }
    }

    /// All labels, sorted.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|label| &**label)
    }

    /// All declarations, sorted by label.
    pub fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.0.values().map(|(declaration, _)| declaration)
    }

    /// The declaration of this label.
    pub fn find(&self, label: &str) -> Option<&Declaration> {
        self.0.get(label).map(|(declaration, _)| declaration)
    }

    /// Where an upstream of this provider lives that has no endpoint written.
    ///
    /// # Errors
    /// It has to be written.
    pub fn endpoint(
        &self,
        declaration: &Declaration,
        options: &Options,
    ) -> Result<Destination, Misconfigured> {
        match self.code(declaration).and_then(|code| code.endpoint) {
            Some(endpoint) => endpoint(options),
            None => declaration.public_endpoint(options),
        }
    }

    /// An upstream of this provider.
    ///
    /// # Errors
    /// Its settings do not make one.
    pub fn open(
        &self,
        declaration: &Declaration,
        settings: &Settings,
    ) -> Result<Box<dyn Provider>, Misconfigured> {
        let open = self
            .code(declaration)
            .map_or(Declared::open as Open, |code| code.open);
        open(declaration, settings)
    }

    fn code(&self, declaration: &Declaration) -> Option<&'static Code> {
        self.0.get(&declaration.label).and_then(|(_, code)| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "[acme]\nsummary = \"Acme.\"\ndialect = \"openai_chat\"\ncredential = \"bearer\"\n";

    static CODE: Code = Code {
        label: "acme",
        endpoint: None,
        open: Declared::open,
    };

    #[test]
    fn what_ships_fits_together() {
        let registry = Registry::collect().unwrap();
        for declaration in registry.declarations() {
            let summary = &declaration.summary;
            assert!(
                summary.ends_with('.') && !summary.contains('\n'),
                "{declaration}: {summary}"
            );
        }
        assert!(registry.find("anthropic").is_some() && registry.find("acme").is_none());
    }

    #[test]
    fn labels_are_unique_and_code_is_declared() {
        let with_code = format!("{ACME}code = true\n");
        let check = |texts: &[&str], code: &[&'static Code], fits: bool| {
            let registry = Registry::new(texts.iter().copied(), code.iter().copied());
            assert_eq!(registry.is_ok(), fits, "{registry:?}");
        };
        check(&[ACME], &[], true);
        check(&[&with_code], &[&CODE], true);
        check(&[ACME, ACME], &[], false);
        check(&[&with_code], &[&CODE, &CODE], false);
        check(&[&with_code], &[], false);
        check(&[ACME], &[&CODE], false);
        check(&[], &[&CODE], false);
    }
}
