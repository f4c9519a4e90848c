//! What governs beside the configuration file: policies, secret rules and prices, from files of the
//! operator's or as shipped.

use std::path::Path;

use super::CompileError;
use crate::config::file::{Config, SecretRules};
use crate::config::mistake::Mistake;
use crate::config::price;
use crate::pipeline::decide::policies::{Policies, PolicyMistake};
use crate::pipeline::inspect::secrets::Detectors;
use crate::pipeline::record::prices::PriceTable;
use crate::pipeline::record::prices::contract::{Agreed, Contract};
use crate::types::pattern::ModelPattern;

/// The extension of policy files.
const POLICY_EXTENSION: &str = "cedar";

/// The policies of a folder, or the shipped ones.
pub(super) fn policies(folder: &Path) -> Result<Policies, CompileError> {
    let placed = |mistakes: Vec<PolicyMistake>| {
        let mistakes = mistakes.into_iter().map(|mistake| Mistake {
            file: folder.join(mistake.file),
            line: mistake.line,
            message: mistake.message,
        });
        CompileError::Files(mistakes.collect())
    };
    if folder.as_os_str().is_empty() {
        return Policies::shipped().map_err(placed);
    }
    let unreadable = |source| CompileError::Read {
        key: "policy.directory",
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == POLICY_EXTENSION)
        {
            // The digest of the policies must not depend on where their folder lies.
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.push((name, read("policy.directory", &path)?));
        }
    }
    files.sort();
    Policies::load(&files).map_err(placed)
}

/// The secret rules of a file, the shipped ones, or both.
///
/// # Errors
/// [`CompileError`] names the file, or what cannot be said without one.
pub(super) fn detectors(rules: &SecretRules) -> Result<Detectors, CompileError> {
    let own = match rules.file.as_os_str().is_empty() {
        true => String::new(),
        false => read("secret_rules.file", &rules.file)?,
    };
    let made = if rules.shipped {
        Detectors::with_shipped(&own, &rules.off)
    } else {
        Detectors::from_toml(&own)
    };
    made.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        CompileError::Files(vec![Mistake {
            file: rules.file.clone(),
            line: 1,
            message: format!("{error}{}", cause.unwrap_or_default()),
        }])
    })
}

/// The prices of a file, or the shipped ones, behind what was agreed on.
pub(super) fn prices(config: &Config) -> Result<PriceTable, CompileError> {
    let file = &config.prices.file;
    let made = if file.as_os_str().is_empty() {
        PriceTable::shipped()
    } else {
        PriceTable::parse(&read("prices.file", file)?)
    };
    let contracts = config.contracts.iter().filter_map(contract).collect();
    made.map(|table| table.under(contracts)).map_err(|bad| {
        let mistakes = bad.0.into_iter().map(|mistake| Mistake {
            file: file.to_owned(),
            line: mistake.line,
            message: mistake.message,
        });
        CompileError::Files(mistakes.collect())
    })
}

/// An agreement, compiled; one that says nothing was reported when the configuration was read.
fn contract(price: &price::Price) -> Option<Contract> {
    let terms = match (&price.multiplier, &price.rates) {
        (Some(multiplier), _) => Agreed::Multiplier((*multiplier).into()),
        (None, Some(rates)) => Agreed::Rates(Box::new(rates.get_ref().into())),
        (None, None) => return None,
    };
    Some(Contract {
        provider: price.provider.as_deref().map(Box::from),
        upstream: price.upstream.as_ref().map(|name| name.get_ref().as_str().into()),
        models: ModelPattern::new(price.model_pattern.get_ref()),
        terms,
    })
}

fn read(key: &'static str, path: &Path) -> Result<String, CompileError> {
    std::fs::read_to_string(path).map_err(|source| CompileError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}
