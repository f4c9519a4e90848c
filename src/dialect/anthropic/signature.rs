//! The signatures that we give to thinking of other vendors' models.
//!
//! Clients send thinking blocks back with their signature, also to another model later on. A real
//! Anthropic model refuses a foreign signature for the rest of the conversation, so ours must be
//! recognisable. A signature can carry the text of a thinking block that the client asked to be hidden
//! but that the upstream wants back, and what an upstream itself wants back with the parts around it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::dialect::raw::{Members, put_string};

/// How every signature of ours begins.
const PREFIX: &str = "tg1.";

/// Who signs what must come back to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signer {
    /// Gemini, its thoughts, texts and calls.
    #[default]
    Gemini,
    /// A model on Bedrock, its reasoning.
    Converse,
}

impl Signer {
    const ALL: [Self; 2] = [Self::Gemini, Self::Converse];

    /// How signatures go on that carry those of this signer.
    const fn tag(self) -> &'static str {
        match self {
            Self::Gemini => "gemini.",
            Self::Converse => "converse.",
        }
    }
}

/// The longest hidden text that a signature carries; a longer one is dropped.
pub const HIDDEN_BYTES_MAX: usize = 256 << 10;

/// A signature that carries this hidden text, which may be empty.
pub fn seal(hidden: &str) -> String {
    let carried = if hidden.len() > HIDDEN_BYTES_MAX {
        ""
    } else {
        hidden
    };
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(carried))
}

/// The hidden text, where the signature is ours.
pub fn open(signature: &str) -> Option<String> {
    let carried = URL_SAFE_NO_PAD.decode(signature.strip_prefix(PREFIX)?).ok()?;
    String::from_utf8(carried).ok()
}

/// Whether these bytes begin like a signature of ours.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFIX.as_bytes())
}

/// Whether Anthropic would refuse a thinking block with this signature: it is empty, or ours.
pub fn is_unsigned(signature: &str) -> bool {
    signature.is_empty() || signature.starts_with(PREFIX)
}

/// Signatures of a vendor, and the parts of its answer that they belong to.
///
/// The Messages API knows signatures of thinking only; where a vendor signs a text or a call, the
/// thinking block that stands beside it carries the signature, and is made for it where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Whose they are.
    pub signer: Signer,
    /// Of the thinking itself.
    pub own: Option<String>,
    /// Of the text before the thinking.
    pub prior: Option<String>,
    /// Of the text or call behind it.
    pub next: Option<String>,
    /// The text that `own` proves, where the client asked for it to be hidden.
    pub hidden: Option<String>,
    /// Thinking that only its maker can read, instead of all others.
    pub redacted: Option<String>,
}

impl Carried {
    /// What this signer has signed: nothing yet.
    pub fn of(signer: Signer) -> Self {
        Self {
            signer,
            ..Self::default()
        }
    }

    /// Whether nothing is carried.
    pub const fn is_empty(&self) -> bool {
        self.own.is_none() && self.prior.is_none() && self.next.is_none() && self.redacted.is_none()
    }

    /// The signature that carries these.
    pub fn seal(&self) -> String {
        let mut json = vec![b'{'];
        let all = [
            ("own", &self.own),
            ("prior", &self.prior),
            ("next", &self.next),
            ("hidden", &self.hidden),
            ("redacted", &self.redacted),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                if json.len() > 1 {
                    json.push(b',');
                }
                put_string(&mut json, name);
                json.push(b':');
                put_string(&mut json, value);
            }
        }
        json.push(b'}');
        format!("{PREFIX}{}{}", self.signer.tag(), URL_SAFE_NO_PAD.encode(json))
    }

    /// What a signature carries, where it is one of these.
    pub fn open(signature: &str) -> Option<Self> {
        let tagged = signature.strip_prefix(PREFIX)?;
        let mut signers = Signer::ALL.into_iter();
        let (signer, carried) =
            signers.find_map(|signer| Some((signer, tagged.strip_prefix(signer.tag())?)))?;
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(carried).ok()?).ok()?;
        let members = Members::read(&json)?;
        let value = |name| members.string(name).map(std::borrow::Cow::into_owned);
        Some(Self {
            signer,
            own: value("own"),
            prior: value("prior"),
            next: value("next"),
            hidden: value("hidden"),
            redacted: value("redacted"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_text_comes_back() {
        for text in ["", "so, 330 m", "größer"] {
            assert_eq!(open(&seal(text)).as_deref(), Some(text));
            assert!(is_unsigned(&seal(text)));
        }
        let long = "x".repeat(HIDDEN_BYTES_MAX + 1);
        assert_eq!(open(&seal(&long)).as_deref(), Some(""));
    }

    #[test]
    fn foreign_signatures_are_left_alone() {
        for foreign in ["EqQBCkYIBxgCKkA", "gw-opaque-1", "tg1"] {
            assert_eq!((open(foreign), is_unsigned(foreign)), (None, false));
            assert_eq!(Carried::open(foreign), None);
        }
        assert!(is_unsigned(""));
    }

    #[test]
    fn carried_signatures_come_back_and_are_no_hidden_text() {
        let some = |text: &str| Some(text.to_owned());
        let carried = Carried {
            own: some("AB+/=="),
            next: some("\"ü"),
            ..Carried::default()
        };
        let reasoned = Carried {
            own: some("AB"),
            hidden: some("so"),
            redacted: some("AA=="),
            ..Carried::of(Signer::Converse)
        };
        for carried in [carried, reasoned, Carried::default()] {
            let sealed = carried.seal();
            assert_eq!(Carried::open(&sealed).as_ref(), Some(&carried));
            assert_eq!(open(&sealed), None);
            assert!(is_unsigned(&sealed) && begins(sealed.as_bytes()));
        }
        assert_eq!(Carried::open(&seal("x")), None);
        assert_eq!(Carried::open("tg1.gemini.!"), None);
    }
}
