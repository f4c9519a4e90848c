//! Whether the model shall think, and how hard.

use bytes::BufMut;

use crate::dialect::openai::profile::ThinkingSwitch;
use crate::dialect::raw::{Members, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::Draft;

/// Tokens of thinking up to which an effort is `low`, and up to which it is `medium`.
const LOW_BUDGET: u64 = 4096;
const MEDIUM_BUDGET: u64 = 16_384;

/// All efforts, the least first.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// What a request says about thinking.
#[derive(Clone, Copy)]
enum Wish {
    /// Nothing.
    Unsaid,
    /// It shall not think.
    Off,
    /// As much as it finds right.
    Adaptive,
    /// About so many tokens.
    Budget(Option<u64>),
}

/// Writes what the upstream can be told; reports the rest.
pub(super) fn put(draft: &mut Draft<'_>, request: &Members<'_>) {
    let thinking = request.members("thinking").unwrap_or_default();
    let wish = match thinking.string("type").unwrap_or_default().as_ref() {
        "disabled" => Wish::Off,
        "enabled" => Wish::Budget(thinking.count("budget_tokens")),
        "" => Wish::Unsaid,
        _ => Wish::Adaptive,
    };
    let effort = request
        .members("output_config")
        .and_then(|config| config.string("effort"));
    let takes_effort = draft.profile.effort && !draft.refuses("effort", "reasoning_effort");
    let switch = draft
        .profile
        .thinking_switch
        .filter(|_| !draft.refuses("thinking", "thinking"));
    let is_switched = switch.is_some_and(|switch| put_switch(draft, switch, wish));
    let word = match (&effort, wish) {
        (Some(effort), _) => Some(effort.as_ref()),
        (None, _) if is_switched => None,
        // Not every model knows `none`; `low` is understood wherever effort is.
        (None, Wish::Off) => Some("low"),
        (None, Wish::Budget(Some(budget))) if budget < LOW_BUDGET => Some("low"),
        (None, Wish::Budget(Some(budget))) if budget < MEDIUM_BUDGET => Some("medium"),
        (None, Wish::Budget(_)) => Some("high"),
        (None, Wish::Unsaid | Wish::Adaptive) => None,
    };
    if let Some(word) = word.filter(|_| takes_effort) {
        put_effort(draft, word);
    }
    if effort.is_some() && !takes_effort {
        let config = Place::Body.member("output_config");
        draft
            .losses
            .loss(config.member("effort"), "the upstream takes no effort");
    }
    if !is_switched {
        report(draft, wish, takes_effort);
    }
}

/// Tells the upstream in its way whether to think; whether it could be told all of it.
fn put_switch(draft: &mut Draft<'_>, switch: ThinkingSwitch, wish: Wish) -> bool {
    let is_on = match wish {
        Wish::Unsaid => return true,
        Wish::Off => false,
        Wish::Adaptive | Wish::Budget(_) => true,
    };
    let budget = match wish {
        Wish::Budget(budget) => budget,
        Wish::Unsaid | Wish::Off | Wish::Adaptive => None,
    };
    let place = Place::Body.member("thinking");
    match switch {
        ThinkingSwitch::Thinking => {
            draft.key("thinking");
            let word: &[u8] = if is_on { b"enabled" } else { b"disabled" };
            draft.out.put_slice(br#"{"type":""#);
            draft.out.put_slice(word);
            draft.out.put_slice(br#""}"#);
        }
        ThinkingSwitch::EnableThinking => {
            draft.key("enable_thinking");
            draft.out.put_slice(if is_on { b"true" } else { b"false" });
            if let Some(budget) = budget {
                draft.key("thinking_budget");
                draft.out.put_slice(budget.to_string().as_bytes());
            }
            return true;
        }
        ThinkingSwitch::ChatTemplate => {
            draft.key("chat_template_kwargs");
            draft.out.put_slice(br#"{"enable_thinking":"#);
            draft.out.put_slice(if is_on { b"true}" } else { b"false}" });
        }
        ThinkingSwitch::Reasoning => {
            draft.key("reasoning");
            match budget {
                Some(budget) => {
                    draft.out.put_slice(br#"{"max_tokens":"#);
                    draft.out.put_slice(budget.to_string().as_bytes());
                    draft.out.put_u8(b'}');
                }
                None => draft.out.put_slice(if is_on {
                    br#"{"enabled":true}"#
                } else {
                    br#"{"enabled":false}"#
                }),
            }
            return true;
        }
    }
    if budget.is_some() {
        draft.losses.loss(
            place.member("budget_tokens"),
            "the upstream decides how much it thinks",
        );
    }
    true
}

/// Writes an effort, lowered to the next that the upstream knows; raised, where it knows none below.
fn put_effort(draft: &mut Draft<'_>, word: &str) {
    let known = &draft.profile.efforts;
    let rank = |word: &str| EFFORTS.iter().position(|effort| *effort == word);
    let sent = if known.is_empty() || known.iter().any(|effort| effort == word) {
        word
    } else {
        let below = known.iter().rev().find(|effort| rank(effort) <= rank(word));
        below.or(known.first()).map_or(word, String::as_str)
    };
    if sent != word {
        let config = Place::Body.member("output_config");
        draft
            .losses
            .loss(config.member("effort"), "the upstream has other efforts");
    }
    draft.key("reasoning_effort");
    put_string(&mut draft.out, sent);
}

/// Reports what an upstream without a switch is not told.
fn report(draft: &mut Draft<'_>, wish: Wish, takes_effort: bool) {
    let place = Place::Body.member("thinking");
    match wish {
        Wish::Off => draft
            .losses
            .loss(place, "the upstream cannot be told not to think"),
        Wish::Budget(_) if takes_effort => draft
            .losses
            .hint(place.member("budget_tokens"), "sent as an effort"),
        Wish::Budget(_) => draft
            .losses
            .loss(place, "the upstream decides how much it thinks"),
        Wish::Unsaid | Wish::Adaptive => {}
    }
}
