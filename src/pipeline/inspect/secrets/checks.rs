//! Checks on candidates: checksums, and what only looks like a secret.

use crate::pipeline::inspect::secrets::rule::Check;

/// Equal or counting characters in a row that no random value has.
const RUN_MIN: usize = 8;

/// Whether the check holds for a candidate.
pub(super) fn holds(check: Check, value: &[u8]) -> bool {
    match check {
        Check::Crc32Base62 => {
            let prefix = value
                .iter()
                .position(|byte| *byte == b'_')
                .map_or(0, |place| place + 1);
            checksum_holds(value.get(prefix..).unwrap_or_default())
        }
        Check::Crc32Base62All => checksum_holds(value),
        Check::MixedCase => {
            value.iter().any(u8::is_ascii_uppercase)
                && value.iter().any(u8::is_ascii_lowercase)
                && value.iter().any(u8::is_ascii_digit)
        }
    }
}

/// Whether the last six characters are the CRC-32 of those before them, in base 62 with leading zeros.
fn checksum_holds(value: &[u8]) -> bool {
    value
        .split_last_chunk::<6>()
        .is_some_and(|(body, checksum)| base62(crc32fast::hash(body)) == *checksum)
}

pub(super) fn base62(number: u32) -> [u8; 6] {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 6];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or(0);
        *digit = ALPHABET.get(index).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// Whether a value is documentation: named as an example, or with a run like `xxxxxxxx` or `12345678`.
pub(super) fn is_example(value: &[u8]) -> bool {
    value.ends_with(b"EXAMPLE") || value.ends_with(b"EXAMPLEKEY") || has_run(value, RUN_MIN)
}

/// Whether so many characters in a row repeat or count up.
pub(super) fn has_run(value: &[u8], length: usize) -> bool {
    [0u8, 1].iter().any(|step| {
        let mut run = 1;
        value.windows(2).any(|pair| {
            let goes_on = matches!(pair, [a, b] if a.checked_add(*step) == Some(*b));
            run = if goes_on { run + 1 } else { 1 };
            run >= length
        })
    })
}

/// Whether a password stands for one: a variable, a template, a mask, a word that means "password".
pub(super) fn is_placeholder(password: &[u8]) -> bool {
    const WORDS: [&str; 22] = [
        "pass",
        "passwd",
        "password",
        "pwd",
        "pw",
        "secret",
        "changeme",
        "change-me",
        "change_me",
        "example",
        "yourpassword",
        "your-password",
        "your_password",
        "mypassword",
        "my-password",
        "my_password",
        "placeholder",
        "redacted",
        "hidden",
        "token",
        "test",
        "foobar",
    ];
    const STARTS: [&[u8]; 9] = [b"$", b"<", b"{", b"%(", b"%s", b"[", b"*", b"...", b"#{"];
    let few = password.iter().all(|byte| Some(byte) == password.first());
    few || STARTS.iter().any(|start| password.starts_with(start))
        || WORDS
            .iter()
            .any(|word| word.as_bytes().eq_ignore_ascii_case(password))
        || password.contains(&b'{') && password.contains(&b'}')
        || has_run(password, RUN_MIN)
}
