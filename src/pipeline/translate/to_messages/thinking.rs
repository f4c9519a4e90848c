//! How much a model thinks, from the effort that clients of OpenAI's API ask for.

use bytes::BufMut;

use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::put_string;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::to_messages::Draft;

/// How much the model shall think.
#[derive(Default)]
pub(crate) struct Thinking {
    pub(crate) is_on: bool,
    /// For models that think within a budget.
    pub(crate) budget: Option<u64>,
    /// For models that are steered by an effort.
    pub(crate) effort: Option<&'static str>,
    is_off: bool,
}

impl Thinking {
    /// What this effort comes to, which stands at this place. Where a model with a budget goes on from
    /// calls, it insists on the thinking before them: without that it may not think.
    pub(crate) fn of(draft: &mut Draft<'_>, place: Place<'_>, effort: &str, may_think: bool) -> Self {
        let (budget, word) = match effort {
            "minimal" => (1024, "low"),
            "low" => (2048, "low"),
            "medium" => (8192, "medium"),
            "high" => (16_384, "high"),
            "xhigh" => (24_576, "xhigh"),
            "max" => (24_576, "max"),
            other => {
                return Self {
                    is_off: other == "none",
                    ..Self::default()
                };
            }
        };
        let is_adaptive = draft.reader.traits().adaptive;
        if !is_adaptive && !may_think {
            let why = "the calls to go on from came without their thinking";
            draft.losses.loss(place, why);
            return Self {
                is_off: true,
                ..Self::default()
            };
        }
        Self {
            is_on: true,
            budget: (!is_adaptive).then_some(budget),
            effort: is_adaptive.then_some(word),
            is_off: false,
        }
    }

    /// Writes the field; the effort has its place in `output_config`.
    pub(crate) fn put(&self, draft: &mut Draft<'_>) {
        if self.is_off {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"disabled"}"#);
        } else if let Some(budget) = self.budget {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"enabled","budget_tokens":"#);
            put_count(&mut draft.out, budget);
            draft.out.put_u8(b'}');
        } else if self.is_on {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"adaptive"}"#);
        }
    }

    /// Writes the effort as a member, where there is one.
    pub(crate) fn put_effort(&self, out: &mut Vec<u8>) {
        if let Some(effort) = self.effort {
            out.put_slice(br#""effort":"#);
            put_string(out, effort);
        }
    }
}
