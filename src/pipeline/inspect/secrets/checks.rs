//! Checks on candidates: checksums, and structure that a value of its kind has.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::pipeline::inspect::secrets::gate;
use crate::pipeline::inspect::secrets::harmless::is_placeholder;
use crate::pipeline::inspect::secrets::randomness::Makeup;
use crate::pipeline::inspect::secrets::rule::Check;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
/// Base64 characters of a value that are decoded to see its structure.
const DECODED_MAX: usize = 1_024;

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
        Check::Random => Makeup::of(value).is_random(),
        Check::Password => gate::is_password(value),
        Check::NotPlaceholder => !is_placeholder(value),
        Check::Jwt => is_jwt(value),
        Check::UserPassword => decoded(&STANDARD, value).is_some_and(|text| is_user_password(&text)),
        Check::Base64Text => decoded(&STANDARD, value).is_some_and(|text| !text.is_empty()),
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

fn decoded(engine: &GeneralPurpose, value: &[u8]) -> Option<Vec<u8>> {
    // Whole quanta, so that a cut end still decodes.
    let length = value.len().min(DECODED_MAX) / 4 * 4;
    let part = if value.len() <= DECODED_MAX {
        value
    } else {
        value.get(..length)?
    };
    engine.decode(part).ok()
}

/// RFC 7519: the first part is a JSON object that names the algorithm.
fn is_jwt(value: &[u8]) -> bool {
    let header = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    let Some(json) = decoded(&URL_SAFE, header) else {
        return false;
    };
    let header: Option<serde_json::Value> = serde_json::from_slice(&json).ok();
    header.is_some_and(|header| {
        header.get("alg").is_some() || header.get("enc").is_some() || header.get("typ").is_some()
    })
}

/// RFC 7617: `user:password`, and the password is one.
fn is_user_password(text: &[u8]) -> bool {
    let colon = text.iter().position(|byte| *byte == b':');
    let Some((user, password)) = colon.and_then(|colon| text.split_at_checked(colon)) else {
        return false;
    };
    let password = password.get(1..).unwrap_or_default();
    let printable = text.iter().all(|byte| !byte.is_ascii_control());
    let long = password.len() >= 3 || password.is_empty() && user.len() >= 16;
    printable && long && !is_placeholder(password) && text != b"Aladdin:open sesame"
}
