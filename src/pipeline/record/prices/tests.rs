use std::collections::BTreeSet;

use serde::Deserialize;

use super::*;
use crate::dialect::raw::Raw;
use crate::dialect::{anthropic, converse, openai};
use crate::pipeline::record::prices::contract::Agreed;
use crate::types::pattern::ModelPattern;
use crate::types::price::{Millionths, WrittenPrice};

/// Model; input, output, cache read, cache write of 5 minutes and of an hour; micro-dollars.
///
/// Computed in exact fractions by other means than this program, from the price list of the vendors.
const GOLDEN: &str = "
claude-opus-5-5 1 4602 0 0 0 92044
claude-opus-5-5 3 5742 0 2437 0 127037
claude-opus-5-5 0 4010 0 0 0 80200
claude-sonnet-4-6 1 3441 0 1438 0 57011
claude-sonnet-4-6 1 2169 34465 1530 1778 59283
claude-sonnet-4-6 43312 7073 0 0 1916 247527
claude-haiku-5-5 34538 6487 63229 476 2407 39352
claude-haiku-5-5 0 6428 15453 1406 0 3544
claude-haiku-5-5 1 4336 4025 98116 0 72364
claude-fable-5-1 2003 8871 17684 0 2124 510481
claude-fable-5-1 43770 3631 0 0 0 619250
claude-fable-5-1 3 387 0 44721 2432 627033
gpt-6-astra 0 7859 64548 2762 255 495211
gpt-6-astra 17131 1252 6056 0 0 239966
gpt-6-astra 1 718 0 0 0 35910
gpt-5 1 4864 38722 0 0 53482
gpt-5 36511 4417 0 2203 0 92563
gpt-5 3 6926 0 0 0 69264
gpt-5-mini 3 4538 26850 0 0 9748
gpt-5-mini 1 7046 67465 2713 0 16457
gpt-5-mini 3 3671 355266 67109 202 33052
gemini/gemini-2.5-pro 5346 7640 4168 1898 1739 88150
gemini/gemini-2.5-pro 0 6102 0 2168 0 63730
gemini/gemini-2.5-pro 3 3896 0 184358 0 269411
deepseek/deepseek-v4-pro 0 6430 0 0 0 25463
deepseek/deepseek-v4-pro 1 8981 0 2519 0 35566
deepseek/deepseek-v4-pro 32690 5754 0 59560 0 65937
moonshot/kimi-k3 1 3335 38050 2184 13 68073
moonshot/kimi-k3 1 1929 2414 0 1042 35914
moonshot/kimi-k3 3 6351 33939 0 0 105456
minimax/MiniMax-M3 1 1633 0 0 1975 2552
minimax/MiniMax-M3 3 3925 0 1699 0 5221
minimax/MiniMax-M3 15536 125 0 82648 1695 30114
groq/openai/gpt-oss-120b 1 7840 0 0 2612 5096
groq/openai/gpt-oss-120b 3 2802 0 0 0 1682
groq/openai/gpt-oss-120b 1 8849 0 23212 2810 9213
claude-haiku-5-5 0 1 0 0 0 1
claude-haiku-5-5 4 0 1 0 0 0
claude-haiku-5-5 0 0 50 0 0 1
claude-haiku-5-5 0 0 49 0 0 0
gemini/gemini-2.5-pro 200000 10 0 0 0 250100
gemini/gemini-2.5-pro 200001 10 0 0 0 500153
gemini/gemini-2.5-pro 1 10 200000 0 0 50153
gpt-6-astra 300000 100 5000 1000 0 6042500
minimax/MiniMax-M3 500000 10 20000 0 0 302424
";

fn usage(tokens: [u64; 5]) -> Usage {
    let [input, output, cache_read, cache_write_5m, cache_write_1h] = tokens;
    Usage {
        input,
        output,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        ..Usage::default()
    }
}

const fn served<'a>(provider: &'a str, model: &'a str) -> Served<'a> {
    Served {
        provider,
        upstream: "main",
        model,
    }
}

fn micros(cost: Cost) -> Option<i64> {
    match cost {
        Cost::Known(cost) => Some(cost.get()),
        Cost::Unknown => None,
    }
}

fn cost(provider: &str, model: &str, tokens: [u64; 5]) -> Option<i64> {
    let table = PriceTable::shipped().unwrap();
    micros(table.cost(&served(provider, model), &usage(tokens)))
}

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let BadPrices(mistakes) = PriceTable::parse(text).unwrap_err();
    mistakes
        .into_iter()
        .map(|mistake| (mistake.line, mistake.message))
        .collect()
}

/// One file of `tests/golden/cost`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    provider: String,
    dialect: String,
    case: Vec<Case>,
}

/// What an answer says that it used, and what it costs; absent where that is not known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    model: String,
    usage: String,
    micros: Option<i64>,
}

impl Case {
    /// The usage as the dialect's own reader understands it.
    fn used(&self, dialect: &str) -> Usage {
        let raw = Raw::read(&self.usage).unwrap();
        let answer = raw.members().unwrap();
        match dialect {
            "messages" => {
                let mut used = Usage::default();
                anthropic::usage::merge(&mut used, raw);
                used
            }
            "chat" => openai::usage::find(&answer, None).unwrap(),
            "responses" => openai::usage::of_response(&answer).unwrap(),
            "converse" => converse::usage::find(&answer).unwrap(),
            other => panic!("no dialect is called {other}"),
        }
    }
}

#[test]
fn every_provider_is_billed_as_its_own_rule_says() {
    let table = PriceTable::shipped().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cost");
    let mut providers = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let golden: Golden = toml::from_str(&text).unwrap();
        for case in &golden.case {
            let used = case.used(&golden.dialect);
            let cost = table.cost(&served(&golden.provider, &case.model), &used);
            assert_eq!(
                micros(cost),
                case.micros,
                "{} {}: {}",
                golden.provider,
                case.model,
                case.why
            );
        }
        providers.insert(golden.provider);
    }
    assert!(providers.len() >= 11, "{providers:?}");
}

#[test]
fn what_was_agreed_on_goes_before_the_list() {
    let rates: WrittenPrice = toml::from_str("input = \"1\"\noutput = \"2\"\nweb_search = \"5\"").unwrap();
    let contract = |provider: Option<&str>, upstream: Option<&str>, pattern: &str, terms| Contract {
        provider: provider.map(Box::from),
        upstream: upstream.map(Box::from),
        models: ModelPattern::new(pattern),
        terms,
    };
    let off = |factor: &str| Agreed::Multiplier(Millionths::parse(factor).unwrap().into());
    let table = PriceTable::shipped().unwrap().under(vec![
        contract(None, Some("eu"), "claude-*", off("1.1")),
        contract(Some("anthropic"), None, "claude-*", off("0.85")),
        contract(
            Some("vllm"),
            None,
            "qwen*",
            Agreed::Rates(Box::new((&rates).into())),
        ),
        contract(Some("vllm"), None, "free-*", off("0")),
    ]);
    let check = |provider: &str, upstream: &str, model: &str, expected: Option<i64>| {
        let who = Served {
            provider,
            upstream,
            model,
        };
        let cost = table.cost(&who, &usage([1_001, 100, 0, 0, 0]));
        assert_eq!(micros(cost), expected, "{provider} {upstream} {model}");
    };
    // 1,001 × 3 + 100 × 15 = 4,503; 4,953.3 and 3,827.55 by the factors, rounded at the end.
    check("vertex", "main", "claude-sonnet-4-6", Some(4_503));
    check("anthropic", "eu", "claude-sonnet-4-6", Some(4_953));
    check("anthropic", "main", "claude-sonnet-4-6", Some(3_828));
    // 1,001 × 1 + 100 × 2
    check("vllm", "main", "qwen3.8-27b", Some(1_201));
    check("anthropic", "main", "qwen3.8-27b", None);
    // A discount on a price that nobody knows is not known either.
    check("vllm", "main", "free-model", None);
}

#[test]
fn costs_are_exact() {
    let mut lines = 0;
    for line in GOLDEN.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| fields[place].parse::<u64>().unwrap();
        let tokens = [number(1), number(2), number(3), number(4), number(5)];
        assert_eq!(
            cost("", fields[0], tokens),
            i64::try_from(number(6)).ok(),
            "{line}"
        );
        lines += 1;
    }
    assert_eq!(lines, 45);
}

#[test]
fn models_are_found_by_name_provider_and_date() {
    let check = |provider: &str, model: &str, expected: Option<i64>| {
        assert_eq!(
            cost(provider, model, [1_000_000, 0, 0, 0, 0]),
            expected,
            "{provider} {model}"
        );
    };
    check("anthropic", "claude-sonnet-4-5", Some(3_000_000));
    check("anthropic", "claude-sonnet-4-5-20250929", Some(3_000_000));
    check("vertex", "claude-sonnet-4-5@20250929", Some(3_000_000));
    check("vertex", "claude-sonnet-4-5@default", Some(3_000_000));
    check("vertex", "gemini-2.5-flash", Some(300_000));
    check("openai", "gpt-4o-2024-08-06", Some(2_500_000));
    check("openai", "gpt-4o-2024-13-06", None);
    check("gemini", "gemini-2.5-flash", Some(300_000));
    check("", "gemini/gemini-2.5-flash", Some(300_000));
    check("openai", "gemini-2.5-flash", None);
    check("moonshot", "kimi-k3-20260101", Some(3_000_000));
    check("groq", "openai/gpt-oss-120b", Some(150_000));
    check("anthropic", "claude-sonnet-4-5-2025092", None);
    check("anthropic", "claude-sonnet-9", None);
    check("anthropic", "", None);
}

#[test]
fn enormous_usage_saturates() {
    let all = [u64::MAX; 5];
    assert_eq!(cost("", "claude-fable-5-1", all), Some(i64::MAX));
}

#[test]
fn prices_are_read_exactly_as_strings_and_numbers() {
    let check = |written: &str, micros: i64| {
        let table = PriceTable::parse(&format!("[model.m]\ninput = {written}\noutput = 0")).unwrap();
        let cost = table.cost(&served("", "m"), &usage([1_000_000_000_000, 0, 0, 0, 0]));
        assert_eq!(cost, Cost::Known(MicroDollars::new(micros)), "{written}");
    };
    check("\"0.000001\"", 1_000_000);
    check("0.000001", 1_000_000);
    check("0.1", 100_000_000_000);
    check("\"0.100\"", 100_000_000_000);
    check("3", 3_000_000_000_000);
    check("0.0375", 37_500_000_000);
    check("\"0\"", 0);
}

#[test]
fn mistakes_are_reported_all_at_once_with_their_lines() {
    let bad = [
        "-1",
        "\"1,5\"",
        "\"\"",
        "\".5\"",
        "\"1e3\"",
        "0.0000001",
        "true",
        "\"99999999999999999999\"",
        "nan",
    ];
    for written in bad {
        let found = mistakes(&format!("[model.a]\ninput = 1\noutput = {written}"));
        assert_eq!(found.len(), 1, "{written}");
        assert_eq!(found[0].0, 3, "{written}");
        assert!(found[0].1.contains("price of a"), "{}", found[0].1);
    }
    let two = "[model.a]\ninput = \"x\"\noutput = 1\n[model.b]\ninput = 1\noutput = 1\ncache_read = \"y\"\n";
    let lines: Vec<usize> = mistakes(two).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 7]);
    assert_eq!(mistakes("[model.a]\ninput = 1\noutput = 1\nprice = 1\n")[0].0, 4);
    assert_eq!(mistakes("[model.a]\ninput = 1\noutput = 1\n[other]\n")[0].0, 4);
    let unordered = "[model.a]\ninput = 1\noutput = 1\nlong = [\n{ input = 1, output = 1 }]\n";
    assert_eq!(mistakes(unordered)[0].0, 5);
    assert!(mistakes("[model.a]\ninput = 1\n")[0].1.contains("output"));
}
