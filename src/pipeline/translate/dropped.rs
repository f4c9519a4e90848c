//! What a translation loses, and how clients are told.

use std::fmt::{self, Write as _};

use crate::dialect::raw::Members;

/// One item of a request that has no counterpart upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where it stood in the client's request: `messages[1].content[0].signature`.
    pub path: String,
    /// How much is lost by it.
    pub kind: DroppedKind,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// How much is lost by dropping an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DroppedKind {
    /// It only advised the other side (caching, for example); the answer means the same.
    Hint,
    /// The answer may differ.
    Loss,
}

impl DroppedKind {
    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Loss => "loss",
        }
    }
}

/// The longest value of `x-tollgate-dropped`, without the count of what no longer fits.
const HEADER_BYTES_MAX: usize = 1024;

/// The value of `x-tollgate-dropped`: the paths, losses first, cut at 1 KiB with `...+N` for the rest.
///
/// Names in paths come from clients, so anything but visible ASCII becomes `?`.
pub fn dropped_header(dropped: &[Dropped]) -> Option<String> {
    if dropped.is_empty() {
        return None;
    }
    let of_kind = |kind| dropped.iter().filter(move |item| item.kind == kind);
    let mut value = String::new();
    let mut written = 0;
    for item in of_kind(DroppedKind::Loss).chain(of_kind(DroppedKind::Hint)) {
        let separator = if written == 0 { "" } else { ", " };
        if value.len() + separator.len() + item.path.chars().count() > HEADER_BYTES_MAX {
            break;
        }
        value.push_str(separator);
        value.extend(
            item.path
                .chars()
                .map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '?' }),
        );
        written += 1;
    }
    if written < dropped.len() {
        let separator = if written == 0 { "" } else { ", " };
        let _ = write!(value, "{separator}...+{}", dropped.len() - written);
    }
    Some(value)
}

/// A place in the request. It costs nothing until it is printed.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    /// The body itself.
    Body,
    /// A member of an object.
    Member(&'p Place<'p>, &'p str),
    /// An element of a list.
    Element(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(crate) const fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }

    pub(crate) const fn element(&'p self, index: usize) -> Self {
        Self::Element(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Member(Self::Body, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What has been lost so far. Bounded, because a client can make any number of losses.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    list: Vec<Dropped>,
    /// Whether marks for the cache reach the upstream in another form.
    marks_are_kept: bool,
}

/// The most items that are listed; a body of 32 MiB could name millions.
const LOSSES_MAX: usize = 1000;

impl Losses {
    /// None so far; `marks_are_kept` where marks for the cache reach the upstream in another form.
    pub(crate) fn new(marks_are_kept: bool) -> Self {
        Self {
            list: Vec::new(),
            marks_are_kept,
        }
    }

    pub(crate) fn hint(&mut self, place: Place<'_>, reason: &'static str) {
        self.note(place, DroppedKind::Hint, reason);
    }

    pub(crate) fn loss(&mut self, place: Place<'_>, reason: &'static str) {
        self.note(place, DroppedKind::Loss, reason);
    }

    fn note(&mut self, place: Place<'_>, kind: DroppedKind, reason: &'static str) {
        if self.list.len() < LOSSES_MAX {
            self.list.push(Dropped {
                path: place.to_string(),
                kind,
                reason,
            });
        }
    }

    /// Reports the members of an object that nobody read.
    pub(crate) fn unread(&mut self, place: Place<'_>, members: &Members<'_>, read: &[&str]) {
        const UNKNOWN: &str = "unknown to the upstream";
        for (name, value) in members
            .iter()
            .filter(|(name, value)| !read.contains(name) && !value.is_null())
        {
            let empty = matches!(value.text(), "false" | "[]" | "{}" | "\"\"");
            match name {
                _ if empty => {}
                "cache_control" if self.marks_are_kept => {}
                "cache_control" => self.hint(place.member(name), "the upstream caches by itself"),
                "eager_input_streaming"
                | "input_examples"
                | "allowed_callers"
                | "caller"
                | "toolset_name" => self.hint(place.member(name), UNKNOWN),
                _ => self.loss(place.member(name), UNKNOWN),
            }
        }
    }

    pub(crate) fn into_list(self) -> Vec<Dropped> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(path: &str, kind: DroppedKind) -> Dropped {
        Dropped {
            path: path.to_owned(),
            kind,
            reason: "test",
        }
    }

    #[test]
    fn losses_stand_before_hints() {
        let list = [
            dropped("system[0].cache_control", DroppedKind::Hint),
            dropped("top_k", DroppedKind::Loss),
        ];
        assert_eq!(dropped_header(&list).unwrap(), "top_k, system[0].cache_control");
        assert_eq!(dropped_header(&[]), None);
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let list: Vec<_> = (0..200)
            .map(|i| dropped(&format!("tools[{i}].cache_control"), DroppedKind::Hint))
            .collect();
        let value = dropped_header(&list).unwrap();
        assert!(value.len() <= HEADER_BYTES_MAX + 12, "{}", value.len());
        let shown = value.split(", ").count() - 1;
        assert!(value.ends_with(&format!(", ...+{}", 200 - shown)), "{value}");
        let giant = [dropped(&"x".repeat(2000), DroppedKind::Loss)];
        assert_eq!(dropped_header(&giant).unwrap(), "...+1");
    }

    #[test]
    fn a_clients_names_cannot_break_the_header() {
        let list = [dropped("evil\r\nset-cookie: x, ü", DroppedKind::Loss)];
        assert_eq!(dropped_header(&list).unwrap(), "evil??set-cookie:?x???");
    }

    #[test]
    fn places_print_as_paths() {
        let messages = Place::Body.member("messages");
        let message = messages.element(2);
        assert_eq!(message.member("content").to_string(), "messages[2].content");
        assert_eq!(Place::Body.member("a b").to_string(), "a b");
    }
}
