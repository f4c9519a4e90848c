//! OpenAI's usage API: answers of `/v1/organization/usage/completions` (and `/embeddings`) and of
//! `/v1/organization/costs`, as JSON.

use serde_json::Value;

use crate::cli::cost::export::{Entry, NotAnExport, micros};
use crate::cli::cost::tokens::Tokens;
use crate::types::clock::Timestamp;
use crate::types::day::Day;

/// Reads one answer.
///
/// # Errors
/// It is none, or one page of several.
pub fn read(text: &str) -> Result<Vec<Entry>, NotAnExport> {
    let page: Value = serde_json::from_str(text).map_err(|error| {
        NotAnExport::new(format!(
            "no JSON ({error}): save the answer of /v1/organization/usage/completions or /v1/organization/costs"
        ))
    })?;
    if page.get("has_more").and_then(Value::as_bool) == Some(true) {
        return Err(NotAnExport::new(
            "this is one page of several (has_more): ask with page=NEXT_PAGE for the rest, and name every file",
        ));
    }
    let buckets = page.get("data").and_then(Value::as_array).ok_or_else(|| {
        NotAnExport::new(
            "no answer of OpenAI's usage API: it has no list `data`; save the answer as it comes",
        )
    })?;
    let mut entries = Vec::new();
    for bucket in buckets {
        let starts = bucket.get("start_time").and_then(Value::as_i64);
        let starts = starts
            .and_then(|seconds| seconds.checked_mul(1_000_000))
            .ok_or_else(|| {
                NotAnExport::new(
                    "a bucket has no `start_time` in seconds: save the answer of the API as it comes",
                )
            })?;
        let day = Day::of(Timestamp::from_unix_micros(starts));
        for result in bucket
            .get("results")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            entries.push(entry(day, result)?);
        }
    }
    Ok(entries)
}

fn entry(day: Day, result: &Value) -> Result<Entry, NotAnExport> {
    let object = result.get("object").and_then(Value::as_str).unwrap_or_default();
    match object {
        "organization.costs.result" => {
            let value = result.get("amount").and_then(|amount| amount.get("value"));
            let cost = match value {
                Some(Value::String(text)) => micros(text, 0),
                Some(Value::Number(number)) => micros(&number.to_string(), 0),
                _ => None,
            };
            let line = result.get("line_item").and_then(Value::as_str);
            Ok(Entry {
                day,
                // "gpt-5, cached input"
                model: line.and_then(|line| line.split(',').next()).map(str::to_owned),
                tokens: None,
                cost: Some(
                    cost.ok_or_else(|| NotAnExport::new("`amount.value` of a cost is no number of dollars"))?,
                ),
            })
        }
        "organization.usage.completions.result" | "organization.usage.embeddings.result" => {
            let model = result.get("model").and_then(Value::as_str);
            let model = model
                .ok_or_else(|| NotAnExport::new("the usage is not by model: ask with group_by=model"))?;
            let count = |key: &str| result.get(key).and_then(Value::as_i64).unwrap_or(0);
            // Cached tokens are contained in the input, as in answers.
            let (read, written) = (count("input_cached_tokens"), count("input_cache_write_tokens"));
            Ok(Entry {
                day,
                model: Some(model.to_owned()),
                tokens: Some(Tokens {
                    input: count("input_tokens")
                        .saturating_sub(read)
                        .saturating_sub(written)
                        .max(0),
                    cache_read: read,
                    cache_write_5m: written,
                    cache_write_1h: 0,
                    output: count("output_tokens"),
                }),
                cost: None,
            })
        }
        other => Err(NotAnExport::new(format!(
            "results of the kind `{other}` are not compared: use /v1/organization/usage/completions, …/embeddings or \
             /v1/organization/costs"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_and_costs_are_read_and_the_rest_is_refused() {
        let usage = r#"{"object":"page","data":[{"object":"bucket","start_time":1795219200,"end_time":1795305600,
            "results":[{"object":"organization.usage.completions.result","input_tokens":1000,"output_tokens":500,
            "input_cached_tokens":800,"num_model_requests":5,"model":"gpt-5","batch":false}]}],"has_more":false}"#;
        let entries = read(usage).unwrap();
        let tokens = Tokens {
            input: 200,
            cache_read: 800,
            output: 500,
            ..Tokens::default()
        };
        assert_eq!(entries[0].tokens, Some(tokens));
        assert_eq!(entries[0].day.to_string(), "2026-11-21");
        let costs = r#"{"object":"page","data":[{"start_time":1795219200,"results":[{"object":"organization.costs.result",
            "amount":{"value":0.06,"currency":"usd"},"line_item":"gpt-5, cached input"}]}],"has_more":false}"#;
        let entries = read(costs).unwrap();
        assert_eq!(
            (entries[0].cost, entries[0].model.as_deref()),
            (Some(60_000), Some("gpt-5"))
        );
        let refused = |text: &str, word: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused("<html>", "usage/completions");
        refused(r#"{"data":[],"has_more":true}"#, "page");
        refused(r#"{"data":[{"start_time":"x"}]}"#, "start_time");
        let bucket =
            |result: &str| format!(r#"{{"data":[{{"start_time":1795219200,"results":[{result}]}}]}}"#);
        refused(
            &bucket(r#"{"object":"organization.usage.completions.result"}"#),
            "group_by",
        );
        refused(
            &bucket(r#"{"object":"organization.usage.images.result"}"#),
            "images",
        );
    }
}
