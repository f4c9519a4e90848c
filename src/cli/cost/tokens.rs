//! Sums of tokens, and differences between them.

/// Tokens by how they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input that no cache knew.
    pub input: i64,
    /// Input read from a cache.
    pub cache_read: i64,
    /// Input written to a cache for five minutes.
    pub cache_write_5m: i64,
    /// Input written to a cache for an hour.
    pub cache_write_1h: i64,
    /// Output.
    pub output: i64,
}

impl Tokens {
    pub(super) const INPUT_KINDS: usize = 4;

    /// Of each kind; input before output.
    pub const fn kinds(&self) -> [i64; 5] {
        [
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.output,
        ]
    }

    /// The inverse of [`Self::kinds`].
    pub const fn of(kinds: [i64; 5]) -> Self {
        let [input, cache_read, cache_write_5m, cache_write_1h, output] = kinds;
        Self {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
        }
    }

    pub(super) fn each(self, other: Self, of: impl Fn(i64, i64) -> i64) -> Self {
        let pairs = self.kinds().into_iter().zip(other.kinds());
        let mut kinds = [0; 5];
        for (kind, (a, b)) in kinds.iter_mut().zip(pairs) {
            *kind = of(a, b);
        }
        Self::of(kinds)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.each(other, i64::saturating_add)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.each(other, i64::saturating_sub)
    }

    /// As much of each kind as lies within these bounds, whichever way.
    pub(super) fn within(self, bounds: Self) -> Self {
        self.each(bounds, |value, bound| value.clamp(-bound.max(0), bound.max(0)))
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
