//! Patterns with matchers, and what they are matched against.

use std::collections::HashMap;

use serde_json::Value;

/// The names that a pattern has bound.
#[derive(Clone, Debug, Default)]
pub struct Bindings(HashMap<String, String>);

/// Matches a value against a pattern; says where they differ.
pub fn matches(pattern: &Value, actual: &Value, bound: &mut Bindings, at: &str) -> Result<(), String> {
    match (pattern, actual) {
        (Value::Object(members), _) if members.keys().any(|key| key.starts_with('$')) => {
            let fits = matcher(pattern, actual, bound, at)?;
            if fits {
                Ok(())
            } else {
                Err(format!("{at}: {actual} does not match {pattern}"))
            }
        }
        (Value::Object(expected), Value::Object(found)) => {
            for (key, pattern) in expected {
                let value = found.get(key).ok_or_else(|| format!("{at}.{key} is missing"))?;
                matches(pattern, value, bound, &format!("{at}.{key}"))?;
            }
            match found.keys().find(|key| !expected.contains_key(*key)) {
                Some(extra) => Err(format!("{at}.{extra} should not be there: {}", found[extra])),
                None => Ok(()),
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs.into_iter().try_for_each(|(index, (pattern, value))| {
                matches(pattern, value, bound, &format!("{at}[{index}]"))
            })
        }
        (Value::Number(expected), Value::Number(found)) if expected.as_f64() == found.as_f64() => Ok(()),
        _ if pattern == actual => Ok(()),
        _ => Err(format!("{at}: expected {pattern}, found {actual}")),
    }
}

fn matcher(pattern: &Value, actual: &Value, bound: &mut Bindings, at: &str) -> Result<bool, String> {
    let text = actual.as_str();
    let string = |key: &str| pattern.get(key).and_then(Value::as_str);
    let regex_fits = || -> Result<bool, String> {
        let Some(regex) = string("$regex") else {
            return Ok(true);
        };
        let regex = regex::Regex::new(&format!("^(?:{regex})$")).map_err(|error| error.to_string())?;
        Ok(text.is_some_and(|text| regex.is_match(text)))
    };
    if pattern.get("$any").is_some() {
        return Ok(true);
    }
    if let Some(kind) = string("$type") {
        return Ok(if kind == "integer" {
            actual.is_u64()
        } else {
            actual.is_string()
        });
    }
    if let Some(part) = string("$contains") {
        return Ok(text.is_some_and(|text| text.contains(part)));
    }
    if let Some(expected) = pattern.get("$json") {
        let parsed: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        return Ok(parsed.is_some_and(|parsed| matches(expected, &parsed, bound, at).is_ok()));
    }
    if let Some(alternatives) = pattern.get("$oneOf").and_then(Value::as_array) {
        return Ok(alternatives
            .iter()
            .any(|pattern| matches(pattern, actual, bound, at).is_ok()));
    }
    if let Some(wanted) = pattern.get("$bag").and_then(Value::as_array) {
        return Ok(bag_fits(wanted, actual, bound, at));
    }
    if let Some(name) = string("$bind") {
        let Some(text) = text.filter(|_| regex_fits() == Ok(true)) else {
            return Ok(false);
        };
        let taken = bound
            .0
            .iter()
            .any(|(other, value)| other != name && value == text);
        bound.0.insert(name.to_owned(), text.to_owned());
        return Ok(!taken);
    }
    if let Some(name) = string("$ref") {
        return Ok(bound.0.get(name).map(String::as_str) == text);
    }
    if string("$regex").is_some() {
        return regex_fits();
    }
    Err(format!("{at}: unknown matcher {pattern}"))
}

/// Each pattern matches an element of its own; further elements are text only.
fn bag_fits(wanted: &[Value], actual: &Value, bound: &mut Bindings, at: &str) -> bool {
    let alone = [actual.clone()];
    let mut elements: Vec<&Value> = match actual {
        Value::Array(list) => list.iter().collect(),
        _ => alone.iter().collect(),
    };
    for pattern in wanted {
        let found = elements
            .iter()
            .position(|element| matches(pattern, element, bound, at).is_ok());
        let Some(index) = found else { return false };
        // One text may hold what two patterns want.
        if elements[index].get("type").and_then(Value::as_str) != Some("text") {
            elements.remove(index);
        }
    }
    elements
        .iter()
        .all(|element| element.get("type").and_then(Value::as_str) == Some("text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn matchers_mean_what_the_readme_says() {
        let check = |pattern: Value, actual: Value, fits: bool| {
            let outcome = matches(&pattern, &actual, &mut Bindings::default(), "$");
            assert_eq!(outcome.is_ok(), fits, "{pattern} {actual} {outcome:?}");
        };
        check(json!({"$any": true}), json!(null), true);
        check(json!({"$type": "integer"}), json!(3), true);
        check(json!({"$type": "integer"}), json!(-3), false);
        check(json!({"$contains": "b"}), json!("abc"), true);
        check(json!({"$regex": "[a-z]{2}"}), json!("abc"), false);
        check(json!({"$json": {"a": 1}}), json!("{ \"a\": 1.0 }"), true);
        check(json!({"$json": {"a": 1}}), json!("{\"a\": 1, \"b\": 2}"), false);
        check(json!({"$oneOf": [1, "x"]}), json!("x"), true);
        check(json!(0), json!(0.0), true);
        check(json!(0), json!("0"), false);
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), false);
        check(json!({"a": 1, "b": 2}), json!({"a": 1}), false);
        let bag = json!({"$bag": [{"type": "x"}, {"type": "text", "text": {"$contains": "a"}}]});
        check(
            bag.clone(),
            json!([{"type": "text", "text": "za"}, {"type": "x"}, {"type": "text", "text": "b"}]),
            true,
        );
        check(
            bag.clone(),
            json!([{"type": "text", "text": "za"}, {"type": "x"}, {"type": "x"}]),
            false,
        );
        check(bag, json!([{"type": "text", "text": "za"}]), false);
        let two = json!([{"$bind": "A", "$regex": ".+"}, {"$bind": "B", "$regex": ".+"}, {"$ref": "B"}]);
        check(two.clone(), json!(["x", "y", "y"]), true);
        check(two.clone(), json!(["x", "x", "x"]), false);
        check(two, json!(["x", "y", "x"]), false);
    }
}
