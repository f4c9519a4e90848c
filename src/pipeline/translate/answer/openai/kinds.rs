//! How the Responses API tells calls of tools that are no plain functions.

use std::borrow::Cow;
use std::collections::HashMap;

/// A kind of tool beside the plain function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// It takes free text.
    Custom,
    /// It stands in a namespace.
    Namespaced {
        /// The namespace.
        namespace: String,
        /// Its name in there.
        name: String,
    },
}

/// The tools of a request that are no plain functions, by the name that models know them by.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallKinds(HashMap<String, CallKind>);

impl CallKinds {
    /// Notes a tool.
    pub(crate) fn add(&mut self, name: &str, kind: CallKind) {
        self.0.insert(name.to_owned(), kind);
    }

    /// The kind of a tool; `None` for a plain function.
    pub(crate) fn of(&self, name: &str) -> Option<&CallKind> {
        self.0.get(name)
    }
}

/// The name that models know a tool by.
pub(crate) fn joined_name<'n>(namespace: Option<&str>, name: &'n str) -> Cow<'n, str> {
    match namespace {
        Some(namespace) => Cow::Owned(format!("{namespace}__{name}")),
        None => Cow::Borrowed(name),
    }
}
