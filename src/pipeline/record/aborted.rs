//! What an answer will be billed for that nobody saw the end of.
//!
//! The rule, which `docs/how-to/cost.md` tells operators: the input is what the upstream told, else our
//! estimate; the output is what was seen, and what the upstream goes on to make until it notices that we hung
//! up, unless it had said that it was done; never more than was asked for.

use crate::types::usage::Usage;

/// The output tokens that an upstream makes until it notices that we hung up: about half a second of a quick
/// model. The notice takes a round trip, and the upstream looks for it when it writes the next time.
pub const OVERRUN_TOKENS: u64 = 50;

/// The output tokens of an answer of which nothing can be seen before it is whole, when the client leaves: such
/// an answer is made to its end, because nothing is written that could fail.
pub const UNSEEN_TOKENS: u64 = 1_024;

/// What was asked for, as far as it bounds the bill.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Our estimate of the input, in tokens.
    pub input: u64,
    /// The most output that was asked for, in tokens, if that was said.
    pub output_max: Option<u64>,
}

impl Asked {
    /// The bill when we hung up on a stream. `told_its_end` is whether the upstream had said why it stopped.
    pub fn hung_up(&self, seen: Option<Usage>, told_its_end: bool) -> Usage {
        let seen = seen.unwrap_or(Usage {
            input: self.input,
            ..Usage::default()
        });
        if told_its_end {
            return seen;
        }
        let output = self.bounded(seen.output.saturating_add(OVERRUN_TOKENS));
        Usage {
            // What has been seen was made, whatever was asked for.
            output: output.max(seen.output),
            ..seen
        }
    }

    /// The bill when we left before anything of a whole answer could be seen.
    pub fn unseen(&self) -> Usage {
        Usage {
            input: self.input,
            output: self.bounded(UNSEEN_TOKENS),
            ..Usage::default()
        }
    }

    fn bounded(&self, output: u64) -> u64 {
        self.output_max.map_or(output, |most| output.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        input: 300,
        output_max: Some(120),
    };

    fn seen(output: u64) -> Usage {
        Usage {
            input: 10,
            output,
            cache_read: 5,
            ..Usage::default()
        }
    }

    #[test]
    fn a_stream_is_billed_beyond_what_was_seen_and_never_beyond_what_was_asked_for() {
        let output = |asked: Asked, seen| asked.hung_up(seen, false).output;
        assert_eq!(output(ASKED, Some(seen(20))), 70);
        assert_eq!(output(ASKED, Some(seen(100))), 120);
        assert_eq!(
            output(ASKED, Some(seen(130))),
            130,
            "our estimate of what was seen may be high"
        );
        assert_eq!(ASKED.hung_up(Some(seen(20)), true), seen(20));
        assert_eq!(
            ASKED.hung_up(Some(seen(20)), false).total_input(),
            15,
            "as the upstream told"
        );
        let nothing = ASKED.hung_up(None, false);
        assert_eq!((nothing.input, nothing.output), (300, 50));
        let unbounded = Asked {
            output_max: None,
            ..ASKED
        };
        assert_eq!(output(unbounded, Some(seen(130))), 180);
    }

    #[test]
    fn a_whole_answer_is_made_to_its_end() {
        assert_eq!((ASKED.unseen().input, ASKED.unseen().output), (300, 120));
        let long = Asked {
            output_max: Some(8_192),
            ..ASKED
        };
        assert_eq!(long.unseen().output, UNSEEN_TOKENS);
    }
}
