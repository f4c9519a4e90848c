//! What models on Bedrock take beyond what Converse has for all of them, by their names.

/// Who made a model, as far as its models agree on what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Anthropic: Claude.
    Anthropic,
    /// Amazon, first generation: Nova.
    Nova,
    /// Amazon, second generation: Nova that reasons.
    ReasoningNova,
    /// OpenAI: gpt-oss.
    GptOss,
    /// Meta: Llama.
    Meta,
    /// Mistral.
    Mistral,
    /// Makers whose models choose tools for themselves: Cohere, AI21.
    Unbidden,
    /// Anybody else: takes what Converse has, and says itself what it does not take.
    Other,
}

/// Which tools can be demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// None: the model chooses.
    Nothing,
    /// Any of them, but no certain one.
    Any,
    /// Any, or a certain one.
    Certain,
}

/// The cache that a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// None that can be told about.
    None,
    /// For system text and messages, five minutes long.
    Prompt,
    /// For tools, too, and up to an hour long.
    Everything,
}

impl Maker {
    /// The maker of the model with this name: an id, an inference profile or an ARN.
    pub fn of(model: &str) -> Self {
        const KNOWN: [(&str, Maker); 8] = [
            ("claude", Maker::Anthropic),
            ("amazon.nova-2", Maker::ReasoningNova),
            ("amazon.nova", Maker::Nova),
            ("openai.gpt-oss", Maker::GptOss),
            ("meta.llama", Maker::Meta),
            ("mistral.", Maker::Mistral),
            ("cohere.", Maker::Unbidden),
            ("ai21.", Maker::Unbidden),
        ];
        let known = KNOWN.iter().find(|(word, _)| model.contains(word));
        known.map_or(Self::Other, |(_, maker)| *maker)
    }

    /// Which tools can be demanded.
    pub const fn demand(self) -> Demand {
        match self {
            Self::Meta | Self::Unbidden => Demand::Nothing,
            Self::Mistral => Demand::Any,
            Self::Anthropic | Self::Nova | Self::ReasoningNova | Self::GptOss | Self::Other => {
                Demand::Certain
            }
        }
    }

    /// The cache that cache points are for.
    pub const fn cache(self) -> Cache {
        match self {
            Self::Anthropic => Cache::Everything,
            Self::Nova | Self::ReasoningNova => Cache::Prompt,
            Self::GptOss | Self::Meta | Self::Mistral | Self::Unbidden | Self::Other => Cache::None,
        }
    }

    /// How many stop sequences are watched for upstream.
    pub const fn stops_max(self) -> usize {
        match self {
            Self::Meta => 0,
            Self::Mistral => 10,
            Self::Anthropic
            | Self::Nova
            | Self::ReasoningNova
            | Self::GptOss
            | Self::Unbidden
            | Self::Other => 4,
        }
    }

    /// Whether a tool's result may say that the call failed.
    pub const fn takes_status(self) -> bool {
        matches!(self, Self::Anthropic | Self::Nova | Self::ReasoningNova)
    }

    /// Whether an answer that was begun is gone on with.
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Anthropic | Self::Nova | Self::ReasoningNova)
    }

    /// Whether the answer can be held to a schema.
    pub const fn takes_schema(self) -> bool {
        matches!(self, Self::Anthropic | Self::GptOss | Self::Mistral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_maker() {
        for (name, maker) in [
            ("amazon.nova-pro-v1:0", Maker::Nova),
            ("us.amazon.nova-2-lite-v1:0", Maker::ReasoningNova),
            (
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-micro-v1:0",
                Maker::Nova,
            ),
            ("openai.gpt-oss-120b-1:0", Maker::GptOss),
            ("us.meta.llama4-maverick-17b-instruct-v1:0", Maker::Meta),
            ("mistral.mistral-large-2407-v1:0", Maker::Mistral),
            ("eu.mistral.pixtral-large-2502-v1:0", Maker::Mistral),
            ("cohere.command-r-plus-v1:0", Maker::Unbidden),
            ("us.deepseek.r1-v1:0", Maker::Other),
            ("anthropic.claude-sonnet-4-6-v1:0", Maker::Anthropic),
            (
                "arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab12",
                Maker::Other,
            ),
        ] {
            assert_eq!(Maker::of(name), maker, "{name}");
        }
    }
}
