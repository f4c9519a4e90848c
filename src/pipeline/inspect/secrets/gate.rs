//! Gates for labelled values: is what stands behind the label a secret, or a word about one?

use serde::Deserialize;

use crate::pipeline::inspect::secrets::harmless::{is_other_thing, is_placeholder};
use crate::pipeline::inspect::secrets::label::Written;
use crate::pipeline::inspect::secrets::randomness::Makeup;
use crate::pipeline::inspect::secrets::words::{KEY_BEFORE, NOT_BEHIND, NOT_INSIDE, TECHNICAL};

/// What a label promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Gate {
    /// A password: short, and made by a person.
    Password,
    /// A secret: a token or a password.
    Secret,
    /// A token: random.
    Token,
    /// A key, if the rest of its name says so.
    Key,
}

/// Whether the value behind this name is a secret.
pub(super) fn opens(gate: Gate, name: &[u8], keyword_end: usize, value: &[u8], written: Written) -> bool {
    if !name_promises(gate, name, keyword_end) || is_placeholder(value) || is_other_thing(value) {
        return false;
    }
    if echoes(name, value) || written == Written::Beside && gate != Gate::Password {
        return false;
    }
    match gate {
        Gate::Password => is_password_written(value, written),
        Gate::Secret => is_token(value) || value.len() >= 8 && is_password_written(value, written),
        Gate::Token => is_token(value),
        Gate::Key => {
            let before = name.get(..keyword_end.saturating_sub(3)).unwrap_or_default();
            let known = parts(before).any(|part| is_one_of(part, &KEY_BEFORE));
            let hex = value.iter().all(u8::is_ascii_hexdigit);
            is_token(value) && (known || !hex && value.len() >= 24 && Makeup::of(value).mixes_cases())
        }
    }
}

/// Whether a password stands here that nobody labelled, such as behind a command-line option.
pub(super) fn is_password(value: &[u8]) -> bool {
    !is_placeholder(value) && !is_other_thing(value) && is_password_written(value, Written::Bare)
}

/// Whether a name says that a secret of this sort is given to it.
pub(super) fn name_promises(gate: Gate, name: &[u8], keyword_end: usize) -> bool {
    let Some((front, behind)) = name.split_at_checked(keyword_end) else {
        return false;
    };
    let behind = behind
        .strip_prefix(b"s")
        .filter(|rest| rest.first().is_none_or(|c| !c.is_ascii_lowercase()))
        .unwrap_or(behind);
    // `tokenizer` is another word, `tokenFile` is not.
    let shouts = front.last().is_some_and(u8::is_ascii_uppercase);
    let goes_on = match behind.first() {
        Some(first) => {
            first.is_ascii_lowercase() && !shouts || shouts && first.is_ascii_uppercase() && front.len() > 1
        }
        None => false,
    };
    if goes_on || parts(behind).any(|part| is_one_of(part, &NOT_BEHIND)) {
        return false;
    }
    if gate == Gate::Key && behind.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    !parts(front).any(|part| is_one_of(part, &NOT_INSIDE))
}

/// The parts of a name: between separators, and the humps of camel case.
fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| !byte.is_ascii_alphanumeric())
        .flat_map(|part| {
            part.chunk_by(|before, after| !(before.is_ascii_lowercase() && after.is_ascii_uppercase()))
        })
        .filter(|part| !part.is_empty())
}

fn is_one_of(part: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| word.as_bytes().eq_ignore_ascii_case(part))
}

/// Whether the value only says the name again, as `password=password` and `apiKey: myApiKey` do.
fn echoes(name: &[u8], value: &[u8]) -> bool {
    let letters = |text: &[u8]| -> Vec<u8> {
        text.iter()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect()
    };
    let (name, value) = (letters(name), letters(value));
    !value.is_empty() && (name.ends_with(&value) || value.ends_with(&name) && value.len() <= name.len() + 8)
}

fn is_password_written(value: &[u8], written: Written) -> bool {
    if !(6..=128).contains(&value.len())
        || is_one_of(value, &TECHNICAL)
        || value.iter().any(u8::is_ascii_control)
    {
        return false;
    }
    let makeup = Makeup::of(value);
    if written == Written::Beside {
        // Nothing says that it is the password but its own looks.
        let looks = makeup.symbols >= 1 && makeup.digits >= 1 && makeup.letters() >= 3;
        return looks && value.len() >= 8 && !is_expression(value);
    }
    let spaced = value.contains(&b' ');
    if spaced {
        // A sentence; passphrases of words alone cannot be told from it.
        return makeup.digits >= 2
            && makeup.symbols >= 1
            && value.iter().filter(|byte| **byte == b' ').count() <= 4;
    }
    let letters = makeup.letters();
    if letters == 0 && makeup.foreign == 0 {
        let figures = makeup.digits == value.len();
        return figures && value.len() >= 8 && written != Written::Loose
            || makeup.symbols >= 1 && makeup.digits >= 5;
    }
    let mixed = makeup.digits >= 1 && letters >= 3;
    let marked = makeup.symbols >= 1
        && (makeup.digits >= 1 || makeup.lower > 0 && makeup.upper > 0 || !makeup.is_wordy());
    let identifier = makeup.symbols == 0 && makeup.foreign == 0 && makeup.is_wordy();
    match written {
        Written::Quoted | Written::Bare if identifier => {
            mixed && makeup.digits >= 2 && !is_name_with_number(value)
        }
        Written::Loose | Written::Sentence if identifier => {
            mixed && makeup.digits >= 2 && value.len() >= 8 && !is_name_with_number(value)
        }
        Written::Sentence => {
            value.len() >= 6
                && (marked || mixed && value.len() >= 8 || makeup.is_random())
                && !is_expression(value)
        }
        Written::Loose | Written::Beside => (marked || mixed || makeup.is_random()) && !is_expression(value),
        Written::Quoted | Written::Bare => {
            marked || mixed || makeup.is_random() || letters >= 10 && !makeup.is_wordy()
        }
    }
}

/// Names with a version or a number: `kubernetes-sa-v2`, `db.main.01`, `user_password_2`, `prod-eu-west-1`.
fn is_name_with_number(value: &[u8]) -> bool {
    let separators = value
        .iter()
        .filter(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b'|'))
        .count();
    let longest = value
        .split(|byte| !byte.is_ascii_digit())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    separators >= 1 && longest <= 2 || separators >= 2 && longest <= 3
}

/// Whether it is rather an expression of a language: `a+b`, `x==1`, `foo?bar`, `user.password1`, `a&&b`.
fn is_expression(value: &[u8]) -> bool {
    let operator = [
        b"==".as_slice(),
        b"&&",
        b"||",
        b"!=",
        b"=>",
        b"->",
        b"+=",
        b"::",
        b"??",
        b"?.",
    ]
    .iter()
    .any(|operator| {
        memchr::memmem::find(value, operator).is_some_and(|place| place + operator.len() < value.len())
    });
    operator || value.ends_with(b"=") && value.len() < 12
}

/// Whether it is a random token, and not one that identifies something.
fn is_token(value: &[u8]) -> bool {
    let allowed = |c: &u8| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'-' | b'_'
                    | b'.'
                    | b'+'
                    | b'/'
                    | b'='
                    | b'~'
                    | b':'
                    | b'%'
                    | b'$'
                    | b'&'
                    | b'('
                    | b')'
                    | b'!'
                    | b'@'
                    | b'#'
                    | b'^'
                    | b'*'
                    | b'?'
                    | b','
                    | b'|'
                    | b'{'
                    | b'}'
                    | b'['
                    | b']'
                    | b';'
                    | b'<'
                    | b'>'
            )
    };
    let makeup = Makeup::of(value);
    if !value.iter().all(allowed) || value.len() < 12 || makeup.letters() == 0 || is_expression(value) {
        return false;
    }
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    let uuid = is_uuid(value);
    if hex || uuid {
        return value.len() >= 16 && makeup.digits >= 2;
    }
    // Words and a long number: a password that stands where a token is meant.
    makeup.is_random()
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
