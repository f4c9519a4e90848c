//! Tool names and ids that fit both sides.
//!
//! Names map back by a table of the request, ids need none: both directions hash, so that a call and
//! its result stay a pair without any state.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::types::digest::Sha256;

/// The longest tool name of chat completions.
const NAME_BYTES_MAX: usize = 64;

/// The longest tool id that is given to clients.
const CLIENT_ID_BYTES_MAX: usize = 64;

/// How much of a name that must change stays readable.
const STEM_BYTES: usize = 55;

/// The tool names of one request that had to change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    sent: HashMap<String, String>,
    restored: HashMap<String, String>,
}

impl Names {
    /// The table for these names. Those that fit keep their spelling; no two become equal.
    pub(crate) fn of<'n>(names: impl Iterator<Item = Cow<'n, str>>) -> Self {
        Self::fitting(names, |name| fits(name, NAME_BYTES_MAX), shorten)
    }

    /// The same for Gemini, where names begin with a letter or an underscore.
    pub(crate) fn for_gemini<'n>(names: impl Iterator<Item = Cow<'n, str>>) -> Self {
        let begins = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let shorten = |name: &str, salt| {
            let short = shorten(name, salt);
            if begins(&short) {
                return short;
            }
            // The last of the stem makes room for the first letter.
            let (stem, hash) = short.split_at(short.len().saturating_sub(9));
            format!("_{}{hash}", stem.get(..STEM_BYTES - 1).unwrap_or(stem))
        };
        Self::fitting(names, |name| fits(name, NAME_BYTES_MAX) && begins(name), shorten)
    }

    fn fitting<'n>(
        names: impl Iterator<Item = Cow<'n, str>>,
        fits: impl Fn(&str) -> bool,
        shorten: impl Fn(&str, u32) -> String,
    ) -> Self {
        let (fitting, others): (Vec<_>, Vec<_>) = names.partition(|name| fits(name));
        let fitting: HashSet<_> = fitting.into_iter().collect();
        let mut table = Self::default();
        for name in others {
            if table.sent.contains_key(name.as_ref()) {
                continue;
            }
            let free =
                |short: &String| !table.restored.contains_key(short) && !fitting.contains(short.as_str());
            // A clash needs a chosen prefix or a name that imitates ours; salting ends it either way.
            let short = (0u32..)
                .map(|salt| shorten(&name, salt))
                .find(free)
                .unwrap_or_default();
            table.restored.insert(short.clone(), name.to_string());
            table.sent.insert(name.into_owned(), short);
        }
        table
    }

    /// The name that goes upstream.
    pub(crate) fn sent<'n>(&'n self, name: &'n str) -> &'n str {
        self.sent.get(name).map_or(name, String::as_str)
    }

    /// The name that the client knows.
    pub(crate) fn restored<'n>(&'n self, name: &'n str) -> &'n str {
        self.restored.get(name).map_or(name, String::as_str)
    }
}

/// A tool-call id as the upstream takes it. Calls and results with equal ids get equal ids.
pub(crate) fn upstream_id(id: &str, bytes_max: usize) -> Cow<'_, str> {
    let bytes_max = bytes_max.max(SHORTEST_ID_BYTES);
    let exact = bytes_max < 10;
    let plain = if exact {
        id.len() == bytes_max && alphanumeric(id)
    } else {
        fits(id, bytes_max)
    };
    if plain {
        return Cow::Borrowed(id);
    }
    let hash = Sha256::of(id.as_bytes()).to_string();
    let hashed = if bytes_max >= 37 {
        format!("call_{}", cut(&hash, 32))
    } else {
        cut(&hash, bytes_max).to_owned()
    };
    Cow::Owned(hashed)
}

/// No upstream is known to take shorter ids, and fewer digits would clash.
const SHORTEST_ID_BYTES: usize = 9;

/// A tool-call id as clients take it.
pub(crate) fn client_id(id: &str) -> Cow<'_, str> {
    if fits(id, CLIENT_ID_BYTES_MAX) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(shorten(id, 0))
    }
}

/// The id of the nth call of a message, where the upstream gave none.
pub(crate) fn invented_id(message_id: &str, nth: usize) -> String {
    let hash = Sha256::of_parts(&[message_id.as_bytes(), b"/", nth.to_string().as_bytes()]).to_string();
    format!("toolu_{}", cut(&hash, 24))
}

/// A readable stem and a hash of the whole.
fn shorten(name: &str, salt: u32) -> String {
    let clean = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let stem: String = name.chars().take(STEM_BYTES).map(clean).collect();
    let salt = if salt == 0 {
        String::new()
    } else {
        format!("/{salt}")
    };
    let hash = Sha256::of_parts(&[name.as_bytes(), salt.as_bytes()]).to_string();
    format!("{stem}_{}", cut(&hash, 8))
}

fn fits(name: &str, bytes_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= bytes_max && name.bytes().all(allowed)
}

fn alphanumeric(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn cut(hash: &str, length: usize) -> &str {
    hash.get(..length).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&'static str]) -> Names {
        Names::of(names.iter().map(|name| Cow::Borrowed(*name)))
    }

    #[test]
    fn names_that_do_not_fit_are_shortened_and_restored() {
        let long = "mcp__inventory_management_backend_production__find_items_by_location_and_status_v";
        let (one, two): (&str, &str) = (&format!("{long}1"), &format!("{long}2"));
        let names = Names::of([one, two, "noop", "a.b", "a b"].into_iter().map(Cow::Borrowed));
        for name in [one, two, "a.b", "a b", "noop"] {
            let sent = names.sent(name);
            assert!(fits(sent, 64), "{sent}");
            assert_eq!(names.restored(sent), name);
        }
        assert_ne!(names.sent(one), names.sent(two));
        assert_ne!(names.sent("a.b"), names.sent("a b"));
        assert_eq!(
            (names.sent("noop"), names.restored("unheard_of")),
            ("noop", "unheard_of")
        );
        assert_eq!(
            names.sent(one),
            table(&["z"]).sent(&shorten(one, 0)),
            "the same in every request"
        );
    }

    #[test]
    fn a_name_that_imitates_a_short_form_does_not_capture_it() {
        let imitation: &'static str = shorten("a.b", 0).leak();
        let names = table(&["a.b", imitation]);
        assert_eq!(names.sent(imitation), imitation);
        assert_ne!(names.sent("a.b"), imitation);
        assert_eq!(names.restored(names.sent("a.b")), "a.b");
    }

    #[test]
    fn names_for_gemini_begin_with_a_letter() {
        let long = "1".repeat(80);
        let names = Names::for_gemini(
            [long.as_str(), "-a", "9", "_a", "b"]
                .into_iter()
                .map(Cow::Borrowed),
        );
        for name in [long.as_str(), "-a", "9", "_a", "b"] {
            let sent = names.sent(name);
            assert!(
                fits(sent, 64) && !sent.starts_with(|c: char| c == '-' || c.is_ascii_digit()),
                "{sent}"
            );
            assert_eq!(names.restored(sent), name);
        }
        assert_eq!((names.sent("_a"), names.sent("b")), ("_a", "b"));
    }

    #[test]
    fn ids_are_shortened_alike_on_every_occasion() {
        let long = "fc_0123456789012345678901234567890123456789";
        assert_eq!(upstream_id("toolu_01aa", 40), "toolu_01aa");
        assert_eq!(upstream_id(long, 40).len(), 37);
        assert_eq!(upstream_id(long, 40), upstream_id(long, 40));
        assert_ne!(upstream_id(long, 40), upstream_id(&long.replace('9', "8"), 40));
        assert_eq!(upstream_id(long, 64), long);
        assert_eq!(upstream_id("functions.x:0", 64).len(), 37);
        for id in ["a", "toolu_01", "0123456789", "call_0000"] {
            let short = upstream_id(id, 9);
            assert!(short.len() == 9 && alphanumeric(&short), "{short}");
        }
        assert_eq!(upstream_id("abcDEF123", 9), "abcDEF123");
        assert_eq!(upstream_id("a", 0).len(), 9);
        assert_eq!(upstream_id(long, 20).len(), 20);
    }

    #[test]
    fn client_ids_fit_the_messages_api() {
        assert_eq!(client_id("call_1"), "call_1");
        for odd in ["functions.get_rates:0", &"x".repeat(65), "ü"] {
            assert!(fits(&client_id(odd), 64));
        }
        assert_ne!(client_id("a.b"), client_id("a:b"));
        assert_ne!(invented_id("msg_1", 0), invented_id("msg_1", 1));
        assert!(fits(&invented_id("msg_1", 0), 64));
    }
}
