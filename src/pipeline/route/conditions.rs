//! What a route demands of a caller and of a request besides the model's name.

use std::fmt;

use crate::pipeline::inspect::index::Index;
use crate::types::clock::Timestamp;
use crate::types::feature::Feature;
use crate::types::hours::{Hours, Weekday};
use crate::types::ids::{RoleName, TeamName, TenantName};
use crate::types::principal::Principal;

/// Conditions that must hold all together; one that is empty or absent always holds.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// The caller's tenant is one of these.
    pub tenants: Vec<TenantName>,
    /// The caller's tenant is one of these, because they are in the route's regions; absent where it has none.
    pub tenants_of_regions: Option<Vec<TenantName>>,
    /// The caller is in one of these teams.
    pub teams: Vec<TeamName>,
    /// The caller has one of these roles.
    pub roles: Vec<RoleName>,
    /// The request has every one of these features.
    pub features: Vec<Feature>,
    /// The request has at least so many bytes of text.
    pub text_bytes_min: usize,
    /// It comes at this time of day.
    pub hours: Option<Hours>,
    /// It comes on one of these days.
    pub weekdays: Vec<Weekday>,
}

/// Why a route does not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The model's name does not fit its pattern.
    Model,
    /// The caller belongs to another tenant.
    Tenant(TenantName),
    /// The caller's tenant is in none of the route's regions.
    Region,
    /// The caller is in none of the route's teams.
    Team,
    /// The caller has none of the route's roles.
    Role,
    /// The request lacks a feature.
    Feature(Feature),
    /// The request is shorter.
    Shorter {
        /// Bytes of text that the route wants at least.
        least: usize,
        /// Bytes of text that the request has.
        has: usize,
    },
    /// It is another time of day.
    Hours(Hours),
    /// It is another day of the week.
    Weekday(Weekday),
}

impl Conditions {
    /// What of the caller stands against it, if anything.
    pub fn caller_miss(&self, principal: &Principal) -> Option<Miss> {
        if !holds(&self.tenants, |tenant| *tenant == principal.tenant_name) {
            return Some(Miss::Tenant(principal.tenant_name.clone()));
        }
        let regional = self.tenants_of_regions.as_ref();
        if regional.is_some_and(|tenants| !tenants.contains(&principal.tenant_name)) {
            return Some(Miss::Region);
        }
        if !holds(&self.teams, |team| principal.teams.contains(team)) {
            return Some(Miss::Team);
        }
        (!holds(&self.roles, |role| principal.roles.contains(role))).then_some(Miss::Role)
    }

    /// What of the request or of the time stands against it, if anything.
    pub fn request_miss(&self, index: &Index, at: Timestamp) -> Option<Miss> {
        if let Some(feature) = self.features.iter().find(|feature| !index.has(**feature)) {
            return Some(Miss::Feature(*feature));
        }
        let (least, has) = (
            self.text_bytes_min,
            if self.text_bytes_min == 0 {
                0
            } else {
                index.text_bytes()
            },
        );
        if has < least {
            return Some(Miss::Shorter { least, has });
        }
        if let Some(hours) = self.hours.filter(|hours| !hours.contain(at)) {
            return Some(Miss::Hours(hours));
        }
        let today = Weekday::of(at);
        (!holds(&self.weekdays, |day| *day == today)).then_some(Miss::Weekday(today))
    }
}

/// Whether one of these is met; none demands nothing.
fn holds<T>(wanted: &[T], is_met: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_met)
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("the model does not fit its model_pattern"),
            Self::Tenant(tenant) => write!(f, "it is not for tenant {tenant}"),
            Self::Region => f.write_str("the caller's tenant is in none of its regions"),
            Self::Team => f.write_str("the caller is in none of its teams"),
            Self::Role => f.write_str("the caller has none of its roles"),
            Self::Feature(feature) => write!(f, "the request does not ask for {feature}"),
            Self::Shorter { least, has } => {
                write!(f, "the request has {has} bytes of text, fewer than {least}")
            }
            Self::Hours(hours) => write!(f, "it is not {hours} UTC"),
            Self::Weekday(today) => write!(f, "it is not for {}", today.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Feature::{Images, Stream, Thinking, Tools};
    use super::*;
    use crate::dialect::operation::Operation;
    use crate::dialect::operation::Operation::{ChatCompletions, Messages, Responses};
    use crate::pipeline::inspect::index::index;

    fn asks_for(feature: Feature, operation: Operation, body: &str) -> bool {
        let conditions = Conditions {
            features: vec![feature],
            ..Conditions::default()
        };
        let index = index(&Bytes::copy_from_slice(body.as_bytes()), operation).unwrap();
        let miss = conditions.request_miss(&index, Timestamp::from_unix_micros(0));
        assert!(miss.is_none() || miss == Some(Miss::Feature(feature)), "{miss:?}");
        miss.is_none()
    }

    /// A request with `more` in it has the feature, or not; without it, it never has.
    fn check(feature: Feature, operation: Operation, more: &str, expected: bool) {
        let head = match operation {
            Messages => r#""model":"m","max_tokens":1,"#,
            _ => r#""model":"m","#,
        };
        let content = match operation {
            Responses => r#""input":"hello""#,
            _ => r#""messages":[{"role":"user","content":"hello"}]"#,
        };
        let plain = format!("{{{head}{content}}}");
        let body = if more.contains("\"role\"") {
            format!("{{{head}{more}}}")
        } else {
            format!("{{{head}{more},{content}}}")
        };
        assert!(!asks_for(feature, operation, &plain), "{feature} in {plain}");
        assert_eq!(
            asks_for(feature, operation, &body),
            expected,
            "{feature} in {body}"
        );
    }

    #[test]
    fn tools_and_streams_are_seen() {
        check(
            Tools,
            Messages,
            r#""tools":[{"name":"read","input_schema":{}}]"#,
            true,
        );
        check(Tools, Messages, r#""tools":[]"#, false);
        let function = r#""tools":[{"type":"function","function":{"name":"read"}}]"#;
        check(Tools, ChatCompletions, function, true);
        check(Stream, Messages, r#""stream":true"#, true);
        check(Stream, ChatCompletions, r#""stream":false"#, false);
    }

    #[test]
    fn thinking_is_seen_unless_it_is_refused() {
        let budget = r#""thinking":{"type":"enabled","budget_tokens":1024}"#;
        check(Thinking, Messages, budget, true);
        check(Thinking, Messages, r#""thinking":{"type":"adaptive"}"#, true);
        check(
            Thinking,
            Messages,
            r#""thinking":{"type":"\u0064isabled"}"#,
            false,
        );
        check(Thinking, Messages, r#""thinking":null"#, false);
        check(Thinking, ChatCompletions, r#""reasoning_effort":"high""#, true);
        check(Thinking, ChatCompletions, r#""reasoning_effort":"none""#, false);
        let effort = r#""reasoning":{"effort":"low","summary":"auto"}"#;
        check(Thinking, Responses, effort, true);
        check(Thinking, Responses, r#""reasoning":{"summary":"auto"}"#, false);
    }

    #[test]
    fn images_are_seen_in_messages_and_results() {
        let said = |list: &str, part: &str| format!(r#""{list}":[{{"role":"user","content":[{part}]}}]"#);
        let image = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#;
        check(Images, Messages, &said("messages", image), true);
        let result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{image}]}}"#);
        check(Images, Messages, &said("messages", &result), true);
        let word = r#"{"type":"text","text":"an \"image\""}"#;
        check(Images, Messages, &said("messages", word), false);
        let part = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"#;
        check(Images, ChatCompletions, &said("messages", part), true);
        let part = r#"{"type":"input_image","image_url":"data:image/png;base64,AAAA"}"#;
        check(Images, Responses, &said("input", part), true);
    }

    #[test]
    fn a_secret_in_what_is_said_about_thinking_is_still_read() {
        let body = r#"{"model":"m","max_tokens":1,"thinking":{"a-long-key":"a-long-value","type":"a-third-one"},
            "messages":[{"role":"user","content":"hello, you"}]}"#;
        let index = index(&Bytes::from_static(body.as_bytes()), Operation::Messages).unwrap();
        let texts: Vec<_> = index
            .texts()
            .iter()
            .map(|placed| placed.text.to_str(body.as_bytes()))
            .collect();
        assert_eq!(texts, ["a-long-key", "a-long-value", "a-third-one", "hello, you"]);
    }
}
