//! Upstreams that asked to be left alone for a while (`retry-after`), model by model.

use std::time::Duration;

use crate::pipeline::route::guard::breaker::left;
use crate::types::clock::Timestamp;
use crate::types::ids::ModelName;

/// Models remembered at most. Clients choose model names within a route's pattern, so the number is bounded.
const MODELS_MAX: usize = 64;

/// Why an upstream asked for rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Status 429.
    RateLimited,
    /// Status 503 or 529.
    Overloaded,
}

impl Cause {
    /// The cause that a status names, where it is one of rest.
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            429 => Some(Self::RateLimited),
            503 | 529 => Some(Self::Overloaded),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Rest {
    model: ModelName,
    cause: Cause,
    since: Timestamp,
    span: Duration,
}

/// The rests of one upstream.
#[derive(Debug, Default)]
pub struct Rests(Vec<Rest>);

impl Rests {
    /// Lets a model rest.
    pub fn begin(&mut self, model: &ModelName, cause: Cause, span: Duration, now: Timestamp) {
        self.0
            .retain(|rest| rest.model != *model && left(rest.since, rest.span, now).is_some());
        if self.0.len() < MODELS_MAX {
            self.0.push(Rest {
                model: model.clone(),
                cause,
                since: now,
                span,
            });
        }
    }

    /// How long a model still rests, and why.
    pub fn of(&self, model: &ModelName, now: Timestamp) -> Option<(Duration, Cause)> {
        let rest = self.0.iter().find(|rest| rest.model == *model)?;
        Some((left(rest.since, rest.span, now)?, rest.cause))
    }
}

/// The span of a `retry-after` header: seconds, or a date (RFC 9110, 10.2.3).
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let micros = i64::try_from(since.as_micros()).ok()?;
    Some(Timestamp::from_unix_micros(micros).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_model_rests_until_its_time_is_over() {
        let mut rests = Rests::default();
        let (tired, awake) = (ModelName::from("opus"), ModelName::from("haiku"));
        rests.begin(&tired, Cause::RateLimited, Duration::from_secs(7), at(100));
        assert_eq!(
            rests.of(&tired, at(103)),
            Some((Duration::from_secs(4), Cause::RateLimited))
        );
        assert_eq!(rests.of(&awake, at(103)), None);
        assert_eq!(rests.of(&tired, at(107)), None);
        assert_eq!(rests.of(&tired, at(50)), None, "the clock was set back");
    }

    #[test]
    fn the_number_of_models_is_bounded_and_makes_room_again() {
        let mut rests = Rests::default();
        let model = |number: usize| ModelName::new(format!("m{number}"));
        for number in 0..MODELS_MAX + 5 {
            rests.begin(&model(number), Cause::Overloaded, Duration::from_secs(5), at(0));
        }
        assert_eq!(rests.0.len(), MODELS_MAX);
        assert!(rests.of(&model(MODELS_MAX), at(1)).is_none());
        rests.begin(
            &model(MODELS_MAX),
            Cause::Overloaded,
            Duration::from_secs(5),
            at(6),
        );
        assert!(rests.of(&model(MODELS_MAX), at(7)).is_some());
        assert_eq!(rests.0.len(), 1);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let check = |value: &str, expected: Option<u64>| {
            // 2026-11-21T12:00:00Z
            let found = retry_after(value, at(1_795_262_400));
            assert_eq!(found, expected.map(Duration::from_secs), "{value}");
        };
        check("7", Some(7));
        check(" 0 ", Some(0));
        check("Sat, 21 Nov 2026 12:01:30 GMT", Some(90));
        check("Sat, 21 Nov 2026 11:59:00 GMT", Some(0));
        check("", None);
        check("-1", None);
        check("soon", None);
        check("99999999999999999999999", None);
    }
}
