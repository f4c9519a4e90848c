//! What models of Gemini take, by their names.

/// A generation of models: its members agree on how thinking is steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// 1.x, 2.0 and Gemma: they do not think.
    Unthinking,
    /// 2.5: thinking has a budget in tokens.
    Budget {
        /// The largest budget.
        most: u64,
        /// The smallest one; 0 switches thinking off.
        least: u64,
    },
    /// 3 and later: thinking has a level, calls are signed, and results may hold pictures.
    Level {
        /// The least that can be asked for.
        least: &'static str,
    },
}

impl Generation {
    /// The generation of the model with this name. A name that tells nothing is taken for a new model.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let rest = name.strip_prefix("gemini-").unwrap_or_default();
        if rest.starts_with('1') || rest.starts_with("2.0") || name.starts_with("gemma") {
            Self::Unthinking
        } else if rest.starts_with("2.5") {
            if rest.contains("pro") {
                Self::Budget {
                    most: 32_768,
                    least: 128,
                }
            } else {
                Self::Budget {
                    most: 24_576,
                    least: 0,
                }
            }
        } else if rest.contains("flash") {
            Self::Level { least: "MINIMAL" }
        } else {
            Self::Level { least: "LOW" }
        }
    }

    /// Whether the model insists on the signature of every first call, and takes pictures in results.
    pub const fn signs_calls(self) -> bool {
        matches!(self, Self::Level { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_generation() {
        let check = |name, generation| assert_eq!(Generation::of(name), generation, "{name}");
        check("gemini-2.0-flash", Generation::Unthinking);
        check("models/gemini-1.5-pro-002", Generation::Unthinking);
        check("gemma-3-27b-it", Generation::Unthinking);
        let flash = Generation::Budget {
            most: 24_576,
            least: 0,
        };
        check("gemini-2.5-flash-lite", flash);
        let pro = Generation::Budget {
            most: 32_768,
            least: 128,
        };
        check("publishers/google/models/gemini-2.5-pro", pro);
        check("gemini-3-flash-preview", Generation::Level { least: "MINIMAL" });
        check("gemini-3-pro", Generation::Level { least: "LOW" });
        check("tuned-model", Generation::Level { least: "LOW" });
    }
}
