//! Cases: each rule carries a text that it finds and one that it does not.
//!
//! They are templates, so that no file holds anything that scanners of repositories would take for a secret:
//! `{b62:36}` stands for 36 random characters. The values are made from the template's own bytes, the same each time.

use std::ops::Range;

use base64::Engine;

use crate::pipeline::inspect::secrets::checks;
use crate::pipeline::inspect::secrets::detectors::Detectors;
use crate::pipeline::inspect::secrets::rule::{BadRules, RuleText};

/// Characters of one placeholder at most.
const LENGTH_MAX: usize = 4_096;

/// A case with its values filled in.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) text: Vec<u8>,
    /// Where the secret stands.
    pub(super) secret: Range<usize>,
}

/// Tries a rule on its cases.
pub(super) fn hold(detectors: &Detectors, rule: &RuleText) -> Result<(), BadRules> {
    let wrong = |problem: String| BadRules::Case {
        rule: rule.id.clone(),
        problem,
    };
    if let Some(yes) = &rule.yes {
        let case = fill(yes).ok_or_else(|| wrong(format!("the case {yes} cannot be filled in")))?;
        let found = detectors.scan().text(&case.text).unwrap_or_default();
        let as_said = found
            .iter()
            .any(|m| m.kind.as_str() == rule.id && m.range == case.secret);
        if !as_said {
            let found: Vec<_> = found
                .iter()
                .map(|m| format!("{} at {:?}", m.kind, m.range))
                .collect();
            return Err(wrong(format!(
                "the case {yes} is not found at {:?}; found instead: [{}]",
                case.secret,
                found.join(", ")
            )));
        }
    }
    if let Some(no) = &rule.no {
        let case = fill(no).ok_or_else(|| wrong(format!("the case {no} cannot be filled in")))?;
        let found = detectors.scan().text(&case.text).unwrap_or_default();
        if let Some(found) = found.iter().find(|m| m.kind.as_str() == rule.id) {
            return Err(wrong(format!(
                "{:?} of the case {no} is taken for a secret",
                found.range
            )));
        }
    }
    Ok(())
}

/// Fills a template in.
pub(super) fn fill(template: &str) -> Option<Case> {
    let mut state = template.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (mut text, mut start, mut end) = (Vec::new(), None, None);
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        match character {
            '«' => start = Some(text.len()),
            '»' => end = Some(text.len()),
            '{' => {
                if let Some((inner, length)) = rest
                    .split_once('}')
                    .map(|(head, _)| (head.get(1..), head.len() + 1))
                    && let Some(inner) = inner
                    && placeholder(inner, &mut state, &mut text)
                {
                    rest = rest.get(length..)?;
                    continue;
                }
                text.push(b'{');
            }
            _ => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = rest.get(character.len_utf8()..)?;
    }
    let secret = start.unwrap_or(0)..end.unwrap_or(text.len());
    Some(Case { text, secret })
}

/// Appends what a placeholder stands for; `false` if it is none.
fn placeholder(inner: &str, state: &mut u64, text: &mut Vec<u8>) -> bool {
    let (class, length) = inner.split_once(':').unwrap_or((inner, "1"));
    let Some(length) = length.parse().ok().filter(|length: &usize| *length <= LENGTH_MAX) else {
        return false;
    };
    let alphabet: &[u8] = match class {
        "hex" => b"0123456789abcdef",
        "HEX" => b"0123456789ABCDEF",
        "dig" => b"0123456789",
        "b62" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "b64" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/",
        "url" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
        "b36" => b"0123456789abcdefghijklmnopqrstuvwxyz",
        "B36" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "B32" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "abc" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "b58" => b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        "bech" => b"023456789ACDEFGHJKLMNPQRSTUVWXYZ",
        // Nothing: keeps the parts of a well-known beginning apart.
        "" => return true,
        "pem" => {
            text.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
            for _ in 0..4 {
                placeholder("b64:64", state, text);
                text.push(b'\n');
            }
            text.extend_from_slice(b"-----END PRIVATE KEY-----");
            return true;
        }
        "b64pw" => {
            let mut login = b"ann:".to_vec();
            placeholder("b62:14", state, &mut login);
            text.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(login).as_bytes());
            return true;
        }
        "uuid" => {
            for group in [8, 4, 4, 4, 12] {
                placeholder(&format!("hex:{group}"), state, text);
                text.push(b'-');
            }
            text.pop();
            return true;
        }
        "crc62" | "crc62-all" => {
            let from = if class == "crc62" {
                text.iter().rposition(|c| *c == b'_').map_or(0, |place| place + 1)
            } else {
                0
            };
            let checksum = checks::base62(crc32fast::hash(text.get(from..).unwrap_or_default()));
            text.extend_from_slice(&checksum);
            return true;
        }
        _ => return false,
    };
    for _ in 0..length {
        // A multiplicative congruence is random enough for cases; the high bits are its good ones.
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from((*state >> 33) % alphabet.len() as u64).unwrap_or(0);
        text.extend(alphabet.get(index));
    }
    true
}
