//! How far a value is from words: what random values and identifiers differ in.

/// For each first letter, the second letters of the pairs that make up 93 % of all pairs in English words and in
/// identifiers: bit 0 is `a`. Random letters hit 37 % of these pairs, words 85 % and more.
const COMMON_PAIRS: [u32; 26] = [
    0x13e_bd4e, 0x016_4911, 0x01a_4d95, 0x016_4919, 0x1ef_f97f, 0x012_4931, 0x016_6991, 0x00a_4111,
    0x2ae_f87f, 0x000_0000, 0x004_0110, 0x11c_4919, 0x014_d113, 0x03c_ed7d, 0x07e_fd6f, 0x11e_c991,
    0x010_0000, 0x13e_fd5d, 0x11c_cd95, 0x11e_c995, 0x00e_b95f, 0x000_0111, 0x006_4111, 0x008_8014,
    0x004_8000, 0x000_0010,
];

/// What stands in a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Makeup {
    pub(super) length: usize,
    pub(super) digits: usize,
    pub(super) lower: usize,
    pub(super) upper: usize,
    /// Characters that people put into passwords and that neither words nor identifiers have.
    pub(super) symbols: usize,
    /// Characters outside ASCII.
    pub(super) foreign: usize,
    /// Pairs of letters, and how many of them are common in words.
    pairs: usize,
    common_pairs: usize,
    /// Letters and digits next to each other.
    mixes: usize,
}

impl Makeup {
    pub(super) fn of(value: &[u8]) -> Self {
        let mut makeup = Self {
            length: value.len(),
            ..Self::default()
        };
        let mut last = 0u8;
        for byte in value {
            match byte {
                b'0'..=b'9' => makeup.digits += 1,
                b'a'..=b'z' => makeup.lower += 1,
                b'A'..=b'Z' => makeup.upper += 1,
                b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'=' | b'~' | b'?' => {
                    makeup.symbols += 1;
                }
                0x80.. => makeup.foreign += 1,
                _ => {}
            }
            if last.is_ascii_alphabetic() && byte.is_ascii_alphabetic() {
                makeup.pairs += 1;
                makeup.common_pairs += usize::from(is_common(last, *byte));
            }
            makeup.mixes += usize::from(
                last.is_ascii_alphabetic() && byte.is_ascii_digit()
                    || last.is_ascii_digit() && byte.is_ascii_alphabetic(),
            );
            last = *byte;
        }
        makeup
    }

    pub(super) const fn letters(&self) -> usize {
        self.lower + self.upper
    }

    /// Whether it has capital and small letters and digits.
    pub(super) const fn mixes_cases(&self) -> bool {
        self.digits > 0 && self.lower > 0 && self.upper > 0
    }

    /// Whether its letters could be words; few letters tell nothing, and count as words.
    pub(super) const fn is_wordy(&self) -> bool {
        let threshold = match self.pairs {
            0..4 => return self.mixes < 3,
            4..8 => 62,
            8..16 => 70,
            _ => 74,
        };
        self.common_pairs * 100 >= self.pairs * threshold
    }

    /// Whether it is a random token: letters and digits without words.
    pub(super) const fn is_random(&self) -> bool {
        if self.letters() == 0 || self.length < 12 {
            return false;
        }
        if self.digits == 0 {
            return self.letters() >= 16 && !self.is_wordy();
        }
        // Few pairs among many digits: groups of both that alternate often.
        let alternates = self.mixes * 6 >= self.length;
        !self.is_wordy() || alternates && self.mixes >= 4
    }
}

fn is_common(first: u8, second: u8) -> bool {
    let row = COMMON_PAIRS.get(usize::from(first.to_ascii_lowercase().wrapping_sub(b'a')));
    row.is_some_and(|row| row >> second.to_ascii_lowercase().wrapping_sub(b'a') & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_random_letters() {
        for words in [
            "kubernetes-sa-v2",
            "prod-db-main-01",
            "client_secret_post",
            "correcthorsebattery",
            "X-Api-Key",
            "userSessionToken",
            "anthropic",
        ] {
            assert!(!Makeup::of(words.as_bytes()).is_random(), "{words}");
        }
        for random in [
            "FONutiCksfCcdZoqBPkm",
            "q1PBCB4a7alp-DiVwfrQ",
            "xkqzjvwpfmhtbgrd",
            "64fd87d9bf0dbad408e2a9861f54e1e8",
            "8f3k2m9x7q1z",
        ] {
            assert!(Makeup::of(random.as_bytes()).is_random(), "{random}");
        }
    }
}
