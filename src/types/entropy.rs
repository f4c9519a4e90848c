//! Randomness as an argument.

use ring::rand::{SecureRandom, SystemRandom};

/// Where randomness comes from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// The generator, ready to use.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(
            clippy::expect_used,
            reason = "no request may go on with guessable ids or keys; getrandom does not fail once it is seeded"
        )]
        self.0
            .fill(buffer)
            .expect("the operating system gave no randomness");
    }
}

/// Draws `length` characters of `0-9A-Za-z`, without bias.
pub fn base62(entropy: &dyn Entropy, length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    let mut buffer = [0u8; 64];
    while text.len() < length {
        entropy.fill(&mut buffer);
        let fitting = buffer.iter().map(|byte| usize::from(byte & 63));
        text.extend(
            fitting
                .filter_map(|index| ALPHABET.get(index))
                .take(length - text.len())
                .map(|c| char::from(*c)),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_has_the_length_asked_for_and_differs() {
        let (a, b) = (
            base62(&SystemEntropy::new(), 100),
            base62(&SystemEntropy::new(), 100),
        );
        assert_eq!((a.len(), b.len()), (100, 100));
        assert_ne!(a, b);
        assert!(a.bytes().all(|c| c.is_ascii_alphanumeric()));
    }
}
