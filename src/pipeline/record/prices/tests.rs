use super::*;

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
claude-haiku-5-5 34538 6487 63229 476 2407 7870
claude-haiku-5-5 0 6428 15453 1406 0 3544
claude-haiku-5-5 1 4336 4025 98116 0 14473
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
gpt-6-astra 300000 100 5000 1000 0 6037500
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
        thinking: 0,
    }
}

fn cost(provider: &str, model: &str, tokens: [u64; 5]) -> Option<i64> {
    match PriceTable::shipped()
        .unwrap()
        .cost(provider, &model.into(), &usage(tokens))
    {
        Cost::Known(cost) => Some(cost.get()),
        Cost::Unknown => None,
    }
}

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let BadPrices(mistakes) = PriceTable::parse(text).unwrap_err();
    mistakes
        .into_iter()
        .map(|mistake| (mistake.line, mistake.message))
        .collect()
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
        let cost = table.cost("", &"m".into(), &usage([1_000_000_000_000, 0, 0, 0, 0]));
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
    assert!(mistakes("[model.a]\ninput = 1\n")[0].1.contains("output"));
}
