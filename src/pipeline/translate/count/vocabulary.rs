//! The tokenizer: `o200k_base`, which `OpenAI`'s models have had since GPT-4o.

use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

/// A vocabulary with its rules.
pub struct Vocabulary(CoreBPE);

impl Vocabulary {
    /// The one of this process, loaded by the first who asks: a quarter of a second and 50 MB that nobody pays who
    /// counts nothing. `None` where it cannot be loaded, which a test rules out.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Vocabulary>> = OnceLock::new();
        let load = || tiktoken_rs::o200k_base().ok().map(Self);
        SHARED.get_or_init(load).as_ref()
    }

    /// The tokens of a text. Words that are special to models count as the text that they are.
    pub fn count(&self, text: &str) -> u64 {
        u64::try_from(self.0.encode_ordinary(text).len()).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vocabulary(o200k_base)")
    }
}
