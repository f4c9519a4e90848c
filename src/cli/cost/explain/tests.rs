//! Every class of difference, by small sums.

use super::*;

/// A sum of one priced request without tokens.
pub fn spend(day: &str, model: &str) -> Spend {
    Spend {
        day: Day::parse(day).unwrap(),
        over_midnight: false,
        upstream: Some("u".into()),
        model: Some(model.into()),
        tenant: None,
        user: None,
        user_id: None,
        cost_state: "priced".into(),
        requests: 1,
        uncounted: 0,
        input: 0,
        output: 0,
        cache_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        cost: 0,
    }
}

fn used(day: &str, input: i64, output: i64) -> Spend {
    Spend {
        input,
        output,
        cost: input + 5 * output,
        ..spend(day, "claude-sonnet-4-6")
    }
}

fn told(day: &str, input: i64, cache_read: i64, output: i64) -> Entry {
    Entry {
        day: Day::parse(day).unwrap(),
        model: Some("claude-sonnet-4-6-20260101".into()),
        tokens: Some(Tokens {
            input,
            cache_read,
            output,
            ..Tokens::default()
        }),
        cost: None,
    }
}

fn cost(day: &str, micros: i64) -> Entry {
    Entry {
        tokens: None,
        cost: Some(micros),
        ..told(day, 0, 0, 0)
    }
}

/// One micro-dollar for input, a tenth for what a cache knew, five for output.
fn price(_: &str, tokens: Tokens) -> Option<i64> {
    Some(tokens.input + tokens.cache_read / 10 + 5 * tokens.output)
}

const DAY: &str = "2026-11-20";
const NEXT: &str = "2026-11-21";

/// Class, input, cache read, output, cost.
fn causes(spent: &[Spend], entries: &[Entry]) -> Vec<(Class, i64, i64, i64, Option<i64>)> {
    let found = explain(&cells(spent, entries), &price);
    let mut found: Vec<_> = found
        .into_iter()
        .map(|one| {
            (
                one.class,
                one.tokens.input,
                one.tokens.cache_read,
                one.tokens.output,
                one.cost,
            )
        })
        .collect();
    found.sort();
    found
}

#[test]
fn what_agrees_is_no_difference() {
    assert_eq!(causes(&[used(DAY, 10, 4)], &[told(DAY, 10, 0, 4)]), []);
    assert_eq!(
        causes(&[used(DAY, 10, 4)], &[told(DAY, 10, 0, 4), cost(DAY, 30)]),
        []
    );
    // A failed request used nothing, and no export has it.
    assert_eq!(causes(&[spend(DAY, "m")], &[]), []);
}

#[test]
fn whole_cells_are_missing_on_one_side() {
    let theirs = (Class::MissingInLedger, 10, 0, 4, None);
    assert_eq!(causes(&[], &[told(DAY, 10, 0, 4)]), [theirs]);
    let ours = (Class::MissingInExport, -10, 0, -4, Some(-30));
    assert_eq!(causes(&[used(DAY, 10, 4)], &[]), [ours]);
}

#[test]
fn what_ran_over_midnight_may_be_on_the_other_day() {
    let late = Spend {
        over_midnight: true,
        ..used(DAY, 8, 2)
    };
    let spent = [used(DAY, 100, 10), late.clone(), used(NEXT, 50, 5)];
    let moved = [told(DAY, 100, 0, 10), told(NEXT, 58, 0, 7)];
    let border = |sign: i64| (Class::DayBorder, sign * 8, 0, sign * 2, Some(sign * 18));
    assert_eq!(causes(&spent, &moved), [border(-1), border(1)]);
    // Nothing ran over midnight: the same difference has no explanation.
    let early = Spend {
        over_midnight: false,
        ..late
    };
    let found = causes(&[used(DAY, 100, 10), early, used(NEXT, 50, 5)], &moved);
    assert!(
        found.iter().all(|cause| cause.0 == Class::Unexplained) && found.len() == 2,
        "{found:?}"
    );
}

#[test]
fn the_same_input_under_another_cache_is_named() {
    let found = causes(&[used(DAY, 100, 4)], &[told(DAY, 30, 80, 4)]);
    let cache = (Class::CacheClass, -70, 70, 0, Some(-63));
    assert_eq!(found, [cache, (Class::Unexplained, 0, 10, 0, Some(1))]);
}

#[test]
fn estimates_explain_as_much_as_was_estimated() {
    let aborted = Spend {
        cost_state: "estimated".into(),
        ..used(DAY, 0, 50)
    };
    let spent = [used(DAY, 10, 4), aborted];
    let estimate = |output| (Class::Estimate, 0, 0, output, Some(5 * output));
    assert_eq!(causes(&spent, &[told(DAY, 10, 0, 34)]), [estimate(-20)]);
    let rest = (Class::Unexplained, 0, 0, 30, Some(150));
    assert_eq!(causes(&spent, &[told(DAY, 10, 0, 134)]), [estimate(50), rest]);
    let missed = (Class::Estimate, 0, 0, 0, Some(-100));
    assert_eq!(causes(&spent, &[cost(DAY, 180)]), [missed], "costs alone");
}

#[test]
fn what_a_crash_cut_off_was_not_counted() {
    let crashed = Spend {
        uncounted: 1,
        cost_state: "unknown".into(),
        ..spend(DAY, "claude-sonnet-4-6")
    };
    let found = causes(&[used(DAY, 10, 4), crashed], &[told(DAY, 25, 0, 9)]);
    assert_eq!(found, [(Class::Interrupted, 15, 0, 5, Some(40))]);
}

#[test]
fn money_that_tokens_do_not_explain_is_rounding_price_or_nothing() {
    let spent = [used(DAY, 1_000, 100)];
    let both = |micros| [told(DAY, 1_000, 0, 100), cost(DAY, micros)];
    let money = |class, micros| [(class, 0, 0, 0, Some(micros))];
    assert_eq!(causes(&spent, &both(1_502)), money(Class::Rounding, 2));
    assert_eq!(causes(&spent, &both(1_275)), money(Class::PriceDiffers, -225));
    assert_eq!(
        causes(&spent, &[cost(DAY, 1_275)]),
        money(Class::Unexplained, -225)
    );
    let unpriced = Spend {
        cost: 0,
        cost_state: "unknown".into(),
        ..used(DAY, 1_000, 100)
    };
    assert_eq!(
        causes(&[unpriced], &both(1_500)),
        money(Class::PriceUnknown, 1_500)
    );
}

#[test]
fn models_are_the_same_whatever_they_are_called() {
    let same = [
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "Claude 4.5 Sonnet",
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "claude-sonnet-4-5@20250929",
    ];
    for name in same {
        assert_eq!(key(name), "4-5-claude-sonnet", "{name}");
    }
    assert_eq!(key("gpt-5-2025-08-07"), key("gpt-5"));
    assert_ne!(key("gpt-5-mini"), key("gpt-5"));
}
