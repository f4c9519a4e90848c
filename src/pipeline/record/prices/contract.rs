//! What the operator agreed on with a provider, which goes before the price table.

use crate::pipeline::record::prices::Served;
use crate::pipeline::record::prices::rate::{Factor, Price};
use crate::types::pattern::ModelPattern;

/// An agreement about some models.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Only with this provider.
    pub provider: Option<Box<str>>,
    /// Only at this upstream.
    pub upstream: Option<Box<str>>,
    /// For models whose name, as it is asked for there, fits.
    pub models: ModelPattern,
    /// What was agreed on.
    pub terms: Agreed,
}

/// What was agreed on.
#[derive(Clone, Debug)]
pub enum Agreed {
    /// The listed price times this.
    Multiplier(Factor),
    /// This price instead of the listed one.
    Rates(Box<Price>),
}

impl Contract {
    /// Whether it is about this.
    pub(super) fn covers(&self, served: &Served<'_>) -> bool {
        let is =
            |wanted: &Option<Box<str>>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        is(&self.provider, served.provider)
            && is(&self.upstream, served.upstream)
            && self.models.matches(served.model)
    }

    /// The price, where one was agreed on.
    pub(super) fn rates(&self) -> Option<&Price> {
        match &self.terms {
            Agreed::Rates(price) => Some(price),
            Agreed::Multiplier(_) => None,
        }
    }

    /// The factor, where one was agreed on.
    pub(super) const fn multiplier(&self) -> Option<Factor> {
        match &self.terms {
            Agreed::Multiplier(factor) => Some(*factor),
            Agreed::Rates(_) => None,
        }
    }
}
