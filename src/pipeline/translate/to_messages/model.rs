//! What a Claude model takes, as far as its name tells.

/// The parameters that changed from one generation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Whether sampling may be changed.
    pub(crate) sampling: bool,
    /// Whether it decides by itself how much to think, steered by an effort.
    pub(crate) adaptive: bool,
}

impl Traits {
    /// Of a reader that takes everything.
    pub(crate) const FREE: Self = Self {
        sampling: true,
        adaptive: true,
    };
}

/// The traits of a model with this name. One that is no Claude is taken for an older one, because that
/// is what the imitators of the Messages API imitate.
pub(crate) fn traits(model: &str) -> Traits {
    let version = version(model);
    Traits {
        sampling: version < (4, 7),
        adaptive: version >= (4, 6),
    }
}

/// The version in a name like `claude-opus-4-8` or `claude-sonnet-4-5-20250929`.
fn version(model: &str) -> (u32, u32) {
    let Some((_, name)) = model.split_once("claude-") else {
        return (0, 0);
    };
    // Dates and other long numbers are no versions.
    let mut numbers = name
        .split(['-', '@', ':', '['])
        .filter(|part| part.len() <= 2)
        .filter_map(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_generation() {
        for (name, expected) in [
            ("claude-opus-4-8", (4, 8)),
            ("claude-sonnet-4-5-20250929", (4, 5)),
            ("claude-sonnet-4-20250514", (4, 0)),
            ("claude-3-5-sonnet-20241022", (3, 5)),
            ("us.anthropic.claude-opus-4-6-v1:0", (4, 6)),
            ("claude-opus-4-5@20251101", (4, 5)),
            ("claude-fable-5-1", (5, 1)),
            ("kimi-k2", (0, 0)),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
        assert_eq!(
            traits("claude-opus-4-6"),
            Traits {
                sampling: true,
                adaptive: true
            }
        );
        assert_eq!(
            traits("claude-opus-4-8"),
            Traits {
                sampling: false,
                adaptive: true
            }
        );
        assert_eq!(
            traits("kimi-k2"),
            Traits {
                sampling: true,
                adaptive: false
            }
        );
    }
}
