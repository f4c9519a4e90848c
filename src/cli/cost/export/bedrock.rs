//! Amazon Bedrock: model invocation logs (JSON, one record a line), and cost and usage reports (CSV, both versions).

use std::collections::HashMap;

use serde_json::Value;

use crate::cli::cost::export::csv::records;
use crate::cli::cost::export::{Entry, NotAnExport, micros};
use crate::cli::cost::tokens::Tokens;
use crate::types::day::{Day, moment};

/// What marketplace products of Bedrock are called at their end.
const EDITION: &str = " (Amazon Bedrock Edition)";

/// The columns of a report that count, in the spellings of both versions; the product's name may be missing.
const COLUMNS: [[&str; 2]; 5] = [
    ["lineItem/UsageStartDate", "line_item_usage_start_date"],
    ["lineItem/UnblendedCost", "line_item_unblended_cost"],
    ["lineItem/ProductCode", "line_item_product_code"],
    ["lineItem/UsageType", "line_item_usage_type"],
    ["product/ProductName", "product_product_name"],
];

/// Reads one file.
///
/// # Errors
/// It is neither.
pub fn read(text: &str) -> Result<Vec<Entry>, NotAnExport> {
    if text.trim_start().starts_with('{') {
        log(text)
    } else {
        report(text)
    }
}

/// A model invocation log, as Bedrock writes it to S3 or CloudWatch.
fn log(text: &str) -> Result<Vec<Entry>, NotAnExport> {
    let mut entries = Vec::new();
    for (line, record) in (1..)
        .zip(text.lines())
        .filter(|(_, record)| !record.trim().is_empty())
    {
        let broken = |what: &str| {
            NotAnExport::new(format!(
                "line {line} is no record of a model invocation log: {what}; name the files as Bedrock wrote them, unpacked"
            ))
        };
        let record: Value = serde_json::from_str(record).map_err(|error| broken(&error.to_string()))?;
        if record.get("schemaType").and_then(Value::as_str) != Some("ModelInvocationLog") {
            return Err(broken("`schemaType` is not ModelInvocationLog"));
        }
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let at = text("timestamp")
            .and_then(moment)
            .ok_or_else(|| broken("`timestamp` is not in UTC"))?;
        let model = text("modelId").ok_or_else(|| broken("`modelId` is missing"))?;
        let count = |side: &str, key: &str| {
            let count = record
                .get(side)
                .and_then(|side| side.get(key))
                .and_then(Value::as_i64);
            count.unwrap_or(0)
        };
        entries.push(Entry {
            day: Day::of(at),
            // A profile is named by its ARN, the model stands behind the last slash.
            model: model.rsplit('/').next().map(str::to_owned),
            tokens: Some(Tokens {
                input: count("input", "inputTokenCount"),
                cache_read: count("input", "cacheReadInputTokenCount"),
                cache_write_5m: count("input", "cacheWriteInputTokenCount"),
                cache_write_1h: 0,
                output: count("output", "outputTokenCount"),
            }),
            cost: None,
        });
    }
    Ok(entries)
}

/// A cost and usage report: what its lines about Bedrock cost.
fn report(text: &str) -> Result<Vec<Entry>, NotAnExport> {
    let records = records(text);
    let Some((head, lines)) = records.split_first() else {
        return Err(NotAnExport::new("the file is empty"));
    };
    let places: HashMap<&str, usize> = head
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), place))
        .collect();
    let [starts, cost, product, kind, name] = COLUMNS.map(|spellings| {
        spellings
            .iter()
            .find_map(|spelling| places.get(spelling).copied())
    });
    let (Some(starts), Some(cost), Some(product), Some(kind)) = (starts, cost, product, kind) else {
        return Err(NotAnExport::new(
            "neither a model invocation log (JSON) nor a cost and usage report (CSV with the columns of \
             lineItem/UsageStartDate, UnblendedCost, ProductCode, UsageType, or line_item_…)",
        ));
    };
    let mut entries = Vec::new();
    for (line, record) in (2..).zip(lines) {
        let field = |place: usize| record.get(place).map_or("", String::as_str);
        let name = name.map(field).unwrap_or_default();
        if field(product) != "AmazonBedrock" && !name.ends_with(EDITION) {
            continue;
        }
        let broken = |what: &str| NotAnExport::new(format!("line {line} of the report has no {what}"));
        let day = moment(field(starts))
            .map(Day::of)
            .ok_or_else(|| broken("start in UTC"))?;
        let model = match name.strip_suffix(EDITION) {
            Some(model) => model,
            None => field(kind),
        };
        entries.push(Entry {
            day,
            model: Some(model.to_owned()),
            tokens: None,
            cost: Some(micros(field(cost), 0).ok_or_else(|| broken("cost"))?),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_reports_are_read_and_the_rest_is_refused() {
        let log = r#"{"schemaType":"ModelInvocationLog","timestamp":"2026-11-21T12:00:00Z","requestId":"r","operation":"InvokeModel",
            "modelId":"arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-6","input":{"inputTokenCount":5,
            "cacheReadInputTokenCount":3},"output":{"outputTokenCount":7}}"#
            .replace('\n', "");
        let entry = read(&log).unwrap().remove(0);
        assert_eq!(entry.model.as_deref(), Some("eu.anthropic.claude-sonnet-4-6"));
        let tokens = entry.tokens.unwrap();
        assert_eq!((tokens.input, tokens.cache_read, tokens.output), (5, 3, 7));
        let report = "lineItem/UsageStartDate,lineItem/ProductCode,lineItem/UsageType,lineItem/UnblendedCost,product/ProductName\n\
            2026-11-21T00:00:00Z,AmazonEC2,x,9,EC2\n\
            2026-11-21T05:00:00Z,abc123,USE1-MP:InputTokenCount-Units,0.5,Claude Sonnet 4.6 (Amazon Bedrock Edition)\n";
        let expected = Entry {
            day: Day::parse("2026-11-21").unwrap(),
            model: Some("Claude Sonnet 4.6".into()),
            tokens: None,
            cost: Some(500_000),
        };
        assert_eq!(read(report).unwrap(), [expected]);
        let newer = "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_unblended_cost\n\
            2026-11-21T00:00:00.000Z,AmazonBedrock,USE1-NovaLite-input-tokens,0.25\n";
        assert_eq!(read(newer).unwrap()[0].cost, Some(250_000));
        let refused = |text: &str, word: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused("", "empty");
        refused("a,b\n1,2\n", "UsageStartDate");
        refused("{\"schemaType\":\"Other\"}\n", "line 1");
        refused(&newer.replace("0.25", "much"), "line 2");
    }
}
