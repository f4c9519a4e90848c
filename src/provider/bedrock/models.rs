//! What the name of a model on Bedrock says: a model's id, an inference profile or an ARN.

use crate::types::ids::ModelName;
use crate::types::pattern::ModelPattern;

/// How the ids of Claude begin, behind the region of a profile.
const CLAUDE: &str = "anthropic.claude";

/// Which names mean Claude.
#[derive(Debug)]
pub(super) struct Claude {
    /// Names that do not say it by themselves: application inference profiles.
    named: Vec<ModelPattern>,
}

impl Claude {
    /// With the names that an operator wrote, separated by commas.
    pub(super) fn named(list: &str) -> Self {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self {
            named: names.map(ModelPattern::new).collect(),
        }
    }

    /// Whether a name means Claude.
    pub(super) fn is(&self, model: &ModelName) -> bool {
        let name = model.as_str();
        name.contains(CLAUDE) || self.named.iter().any(|pattern| pattern.matches(name))
    }
}

/// The id of the foundation model behind a profile's name; `None` where the name does not tell.
pub(super) fn foundation(model: &ModelName) -> Option<&str> {
    let name = model.as_str();
    name.get(name.find(CLAUDE)?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_claude_and_its_foundation() {
        const OPAQUE: &str = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab12";
        let claude = Claude::named("x-*, arn:*/cd34");
        for (name, is_claude, id) in [
            (
                "anthropic.claude-sonnet-4-6-v1:0",
                true,
                Some("anthropic.claude-sonnet-4-6-v1:0"),
            ),
            (
                "global.anthropic.claude-opus-5-5",
                true,
                Some("anthropic.claude-opus-5-5"),
            ),
            (
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-v1:0",
                true,
                Some("anthropic.claude-v1:0"),
            ),
            (OPAQUE, false, None),
            (&OPAQUE.replace("ab12", "cd34"), true, None),
            ("x-team", true, None),
            ("us.amazon.nova-pro-v1:0", false, None),
            ("meta.llama3-1-70b-instruct-v1:0", false, None),
        ] {
            let model = ModelName::from(name);
            assert_eq!((claude.is(&model), foundation(&model)), (is_claude, id), "{name}");
        }
        assert!(!Claude::named(" , ").is(&ModelName::from(OPAQUE)));
    }
}
