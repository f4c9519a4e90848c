//! Anthropic's Usage and Cost API: answers of `/v1/organizations/usage_report/messages` and
//! `/v1/organizations/cost_report`, as JSON.

use serde_json::Value;

use crate::cli::cost::export::{Entry, NotAnExport, micros};
use crate::cli::cost::tokens::Tokens;
use crate::types::day::{Day, moment};

/// Reads one answer.
///
/// # Errors
/// It is none, or one page of several.
pub fn read(text: &str) -> Result<Vec<Entry>, NotAnExport> {
    let report: Value = serde_json::from_str(text).map_err(|error| {
        NotAnExport::new(format!(
            "no JSON ({error}): save the answer of /v1/organizations/usage_report/messages or /v1/organizations/cost_report"
        ))
    })?;
    if report.get("has_more").and_then(Value::as_bool) == Some(true) {
        return Err(NotAnExport::new(
            "this is one page of several (has_more): ask with page=NEXT_PAGE for the rest, and name every file",
        ));
    }
    let buckets = report.get("data").and_then(Value::as_array).ok_or_else(|| {
        NotAnExport::new("no report of Anthropic: it has no list `data`; save the answer as it comes")
    })?;
    let mut entries = Vec::new();
    for bucket in buckets {
        let day = day(bucket)?;
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

fn day(bucket: &Value) -> Result<Day, NotAnExport> {
    let starts = bucket.get("starting_at").and_then(Value::as_str);
    let starts = starts.and_then(moment);
    starts.map(Day::of).ok_or_else(|| {
        NotAnExport::new("a bucket has no `starting_at` in UTC: save the answer of the API as it comes")
    })
}

fn entry(day: Day, result: &Value) -> Result<Entry, NotAnExport> {
    let text = |key: &str| result.get(key).and_then(Value::as_str);
    let model = text("model").map(str::to_owned);
    if let Some(amount) = result.get("amount") {
        // "123.45" are cents.
        let cost = amount.as_str().and_then(|amount| micros(amount, -2));
        return cost.map_or_else(
            || {
                Err(NotAnExport::new(format!(
                    "`amount` is no decimal number of cents: {amount}"
                )))
            },
            |cost| {
                Ok(Entry {
                    day,
                    model,
                    tokens: None,
                    cost: Some(cost),
                })
            },
        );
    }
    if model.is_none() {
        return Err(NotAnExport::new(
            "the usage is not by model: ask with group_by[]=model",
        ));
    }
    let count = |of: &Value, key: &str| of.get(key).and_then(Value::as_i64).unwrap_or(0);
    let written = result.get("cache_creation").unwrap_or(&Value::Null);
    Ok(Entry {
        day,
        model,
        tokens: Some(Tokens {
            input: count(result, "uncached_input_tokens"),
            cache_read: count(result, "cache_read_input_tokens"),
            cache_write_5m: count(written, "ephemeral_5m_input_tokens"),
            cache_write_1h: count(written, "ephemeral_1h_input_tokens"),
            output: count(result, "output_tokens"),
        }),
        cost: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_and_cost_are_read_and_the_rest_is_refused() {
        let usage = r#"{"data":[{"starting_at":"2026-11-20T00:00:00Z","ending_at":"2026-11-21T00:00:00Z","results":[
            {"uncached_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":3,"ephemeral_5m_input_tokens":2},
             "cache_read_input_tokens":9,"output_tokens":7,"server_tool_use":{"web_search_requests":1},
             "model":"claude-sonnet-4-6","service_tier":"standard","context_window":"0-200k"}]}],
            "has_more":false,"next_page":null}"#;
        let day = Day::parse("2026-11-20").unwrap();
        let tokens = Tokens {
            input: 5,
            cache_read: 9,
            cache_write_5m: 2,
            cache_write_1h: 3,
            output: 7,
        };
        let expected = Entry {
            day,
            model: Some("claude-sonnet-4-6".into()),
            tokens: Some(tokens),
            cost: None,
        };
        assert_eq!(read(usage).unwrap(), [expected]);
        let cost = r#"{"data":[{"starting_at":"2026-11-20T00:00:00Z","results":[{"currency":"USD","amount":"123.78912",
            "model":"claude-sonnet-4-6","token_type":"output_tokens"},{"amount":"1","model":null}]}],"has_more":false}"#;
        let costs: Vec<_> = read(cost).unwrap().into_iter().map(|entry| entry.cost).collect();
        assert_eq!(costs, [Some(1_237_891), Some(10_000)]);
        let refused = |text: &str, word: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused("date,cost", "usage_report");
        refused(r#"{"has_more":true,"data":[]}"#, "page");
        refused(r#"{"object":"list"}"#, "data");
        refused(r#"{"data":[{"starting_at":"2026-11-20T00:00:00+01:00"}]}"#, "UTC");
        refused(
            r#"{"data":[{"starting_at":"2026-11-20T00:00:00Z","results":[{"output_tokens":1}]}]}"#,
            "group_by",
        );
    }
}
