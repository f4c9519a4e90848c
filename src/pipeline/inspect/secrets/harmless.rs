//! What looks like a secret and is none: documentation, placeholders, masks, references to where the secret is.

use memchr::memmem;

use crate::pipeline::inspect::secrets::randomness::Makeup;
use crate::pipeline::inspect::secrets::words::{MEANS_SECRET, REFERS_INSIDE, REFERS_START, STANDS_FOR};

/// Equal or counting characters in a row that no random value has.
const RUN_MIN: usize = 8;
/// Bytes from which on a run is no sign: base64 of zeros and ones has them.
const LONG: usize = 100;
/// The same for masks that people type, such as `xxxx`.
const MASK_MIN: usize = 4;

/// Whether a token is documentation or a mask: named as an example, or with a run like `xxxxxxxx` or `12345678`.
pub(super) fn is_example(value: &[u8]) -> bool {
    // Some tokens begin with many zero bytes, which base64 writes as `A`.
    let zeros = value.iter().take_while(|byte| **byte == b'A').count();
    let value = value.get(zeros..).unwrap_or_default();
    value.ends_with(b"EXAMPLEKEY")
        || value.len() < LONG && has_run(value, RUN_MIN)
        || is_monotonous(value)
        || stands_for(value)
}

/// Whether a password stands for one: a variable, a template, a mask, a word that means "password".
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let few = value.iter().all(|byte| Some(byte) == value.first());
    few || refers(value) || means_secret(value) || is_masked(value) || is_example(value)
}

fn refers(value: &[u8]) -> bool {
    REFERS_START.iter().any(|start| value.starts_with(start))
        || REFERS_INSIDE
            .iter()
            .any(|inside| memmem::find(value, inside).is_some())
        || variable(value)
        || enclosed(value, b'%', b'%')
        || enclosed(value, b'[', b']')
        || enclosed(value, b'{', b'}')
        || enclosed(value, b'<', b'>')
        || enclosed(value, b'_', b'_') && value.len() > 4
        || enclosed(value, b'@', b'@')
}

/// A variable of a shell: `$NAME` and nothing else but perhaps quotes.
fn variable(value: &[u8]) -> bool {
    let Some((b'$', name)) = value.split_first() else {
        return false;
    };
    let word = name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_');
    let shouts = !name.iter().any(u8::is_ascii_lowercase);
    word && (shouts || !name.iter().any(u8::is_ascii_digit))
}

fn enclosed(value: &[u8], open: u8, close: u8) -> bool {
    value.len() > 2 && value.first() == Some(&open) && value.last() == Some(&close)
}

fn means_secret(value: &[u8]) -> bool {
    // Compared without what separates words.
    let mut plain = [0u8; 24];
    let mut length = 0;
    for byte in value
        .iter()
        .filter(|byte| !matches!(byte, b'-' | b'_' | b' ' | b'.'))
    {
        let Some(place) = plain.get_mut(length) else {
            return false;
        };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length).unwrap_or_default();
    MEANS_SECRET.iter().any(|word| word.as_bytes() == plain)
}

fn is_masked(value: &[u8]) -> bool {
    let stars = memmem::find(value, b"***").is_some() || memmem::find(value, b"...").is_some();
    stars || longest_run_of(value, b'x').max(longest_run_of(value, b'X')) >= MASK_MIN
}

fn longest_run_of(value: &[u8], wanted: u8) -> usize {
    let (mut longest, mut run) = (0, 0);
    for byte in value {
        run = if *byte == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Whether a part of the value, as separators and humps delimit them, says that it stands for another.
///
/// Parts are compared whole: somewhere inside a long random value every word may occur.
pub(super) fn stands_for(value: &[u8]) -> bool {
    let told = |part: &[u8]| {
        part.ends_with(b"EXAMPLE")
            || STANDS_FOR
                .iter()
                .any(|word| word.as_bytes().eq_ignore_ascii_case(part))
    };
    value
        .split(|byte| !byte.is_ascii_alphabetic())
        .any(|part| told(part) || humps(part).any(told))
}

/// The humps of a name in camel case.
fn humps(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A random run of letters has humps of one to three letters; words of that length are told in no hump.
    let camel = part
        .windows(2)
        .filter(|pair| matches!(pair, [b'a'..=b'z', b'A'..=b'Z']))
        .count();
    let is_name = camel > 0 && part.len() >= (camel + 1) * 3;
    let part = if is_name { part } else { &[] };
    part.chunk_by(|before, after| !(before.is_ascii_lowercase() && after.is_ascii_uppercase()))
        .filter(|hump| hump.len() >= 4)
}

/// Whether so many characters in a row repeat or count up.
pub(super) fn has_run(value: &[u8], length: usize) -> bool {
    [0u8, 1].iter().any(|step| {
        let mut run = 1;
        value.windows(2).any(|pair| {
            let goes_on = matches!(pair, [a, b] if a.checked_add(*step) == Some(*b) && a.is_ascii_graphic());
            run = if goes_on { run + 1 } else { 1 };
            run >= length
        })
    })
}

/// Whether a long value has too few different characters to be random.
fn is_monotonous(value: &[u8]) -> bool {
    if value.len() < 20 {
        return false;
    }
    let mut seen = 0u128;
    for byte in value {
        seen |= 1u128.checked_shl(u32::from(*byte)).unwrap_or(0);
    }
    seen.count_ones() < 7
}

/// Whether a literal is something else than a secret by its form: a path, an address, a date, a name.
pub(super) fn is_other_thing(value: &[u8]) -> bool {
    let starts = |start: &[u8]| value.starts_with(start);
    let path = starts(b"/") && wordy_parts(value, b'/')
        || has_folder(value)
        || starts(b"./")
        || starts(b"../")
        || starts(b"~/")
        || starts(b"C:");
    path || starts(b"http://")
        || starts(b"https://")
        || starts(b"data:")
        || is_mail(value)
        || is_date_or_version(value)
        || is_digest(value)
}

/// Whether a part between slashes is a word in small letters, as folders are.
fn has_folder(value: &[u8]) -> bool {
    let is_word = |part: &[u8]| {
        part.len() >= 4 && part.iter().all(u8::is_ascii_lowercase) && Makeup::of(part).is_wordy()
    };
    value.contains(&b'/') && value.split(|byte| *byte == b'/').any(is_word)
}

fn wordy_parts(value: &[u8], separator: u8) -> bool {
    value
        .split(|byte| *byte == separator)
        .all(|part| !Makeup::of(part).is_random())
}

fn is_mail(value: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', value) else {
        return false;
    };
    let (user, host) = value.split_at(at);
    let host = host.get(1..).unwrap_or_default();
    let names = |text: &[u8]| {
        text.iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'+'))
    };
    let top = host.rsplit(|c| *c == b'.').next().unwrap_or_default();
    let is_top = (2..=6).contains(&top.len()) && top.iter().all(u8::is_ascii_lowercase);
    host.contains(&b'.') && is_top && !user.is_empty() && names(user) && names(host)
}

fn is_date_or_version(value: &[u8]) -> bool {
    let figures = value.strip_prefix(b"v").unwrap_or(value);
    figures
        .iter()
        .all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-' | b':' | b'/' | b'T' | b'Z' | b'+'))
        && figures.iter().any(|c| !c.is_ascii_digit())
}

/// Digests name their algorithm.
fn is_digest(value: &[u8]) -> bool {
    [
        b"sha1-".as_slice(),
        b"sha256-",
        b"sha384-",
        b"sha512-",
        b"sha256:",
        b"sha512:",
        b"md5:",
        b"$2a$",
        b"$2b$",
        b"$2y$",
        b"$argon2",
        b"{SSHA}",
    ]
    .iter()
    .any(|start| value.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known() {
        for value in [
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "<your-password>",
            "{{ .Values.password }}",
            "%(password)s",
            "changeme",
            "CHANGE_ME",
            "your-api-key",
            "YOUR_TOKEN_HERE",
            "insertYourKeyHere",
            "xxxx-xxxx",
            "********",
            "abcdefgh12",
            "process.env.KEY",
            "op://vault/item/field",
            "changeme_api_key_placeholder",
            "%PASSWORD%",
            "AKIAIOSFODNN7EXAMPLE",
            "pass-word",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        for value in [
            "IndIgo95$mzzru0",
            "$ecretP4ss9",
            "hunter22",
            "Upland!velvet8437",
            "nf-hzTeYcrsrvU-eAcKsc",
            "RxafSR3dsIrqWDdydri",
        ] {
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn other_things_are_known() {
        for value in [
            "/etc/tollgate/tls.key",
            "https://example.com/x",
            "ann@example.com",
            "2026-03-11",
            "v1.2.3",
            "sha512-abc",
            "./secret.key",
        ] {
            assert!(is_other_thing(value.as_bytes()), "{value}");
        }
        for value in ["/9S4xDQNMAAL5QaDtpc6RzGKX", "Glacier@kestrel9190", "p@ss.w0rd"] {
            assert!(!is_other_thing(value.as_bytes()), "{value}");
        }
    }
}
