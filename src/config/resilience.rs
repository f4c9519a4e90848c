//! `[resilience]`: what an upstream can bear. An upstream may say otherwise for itself.

use serde::Deserialize;

use crate::config::quantity::Span;

/// `[resilience]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resilience {
    /// Requests at one upstream at once.
    pub max_concurrent: u32,
    /// Requests that wait for a place at one upstream.
    pub queue: u32,
    /// How long a place is waited for.
    pub queue_timeout: Span,
    /// The longest rest that an upstream may ask for with `retry-after`.
    pub rest_max: Span,
    /// Retries at one upstream per hundred first attempts.
    pub retry_percent: u32,
    /// Retries at one upstream per second beyond those.
    pub retries_per_second: u32,
    /// `[resilience.breaker]`
    pub breaker: Breaker,
}

/// `[resilience.breaker]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Failures within the window that keep requests away.
    pub failures: u32,
    /// The share of failures that they must have as well, in percent.
    pub failure_percent: u32,
    /// The window.
    pub window: Span,
    /// How long requests are kept away at first; doubled while probes fail.
    pub open_for: Span,
    /// The longest that doubling leads to.
    pub open_for_max: Span,
}

/// `[upstream.breaker]`: what differs from `[resilience.breaker]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerOf {
    /// Failures within the window that keep requests away.
    pub failures: Option<u32>,
    /// The share of failures that they must have as well, in percent.
    pub failure_percent: Option<u32>,
    /// The window.
    pub window: Option<Span>,
    /// How long requests are kept away at first; doubled while probes fail.
    pub open_for: Option<Span>,
    /// The longest that doubling leads to.
    pub open_for_max: Option<Span>,
}

impl Breaker {
    /// These settings with what differs.
    pub fn overridden(&self, differs: &BreakerOf) -> Self {
        Self {
            failures: differs.failures.unwrap_or(self.failures),
            failure_percent: differs.failure_percent.unwrap_or(self.failure_percent),
            window: differs.window.unwrap_or(self.window),
            open_for: differs.open_for.unwrap_or(self.open_for),
            open_for_max: differs.open_for_max.unwrap_or(self.open_for_max),
        }
    }

    /// What makes no sense about these settings, if anything.
    pub(in crate::config) fn mistake(&self) -> Option<&'static str> {
        if self.failures == 0 {
            Some("failures is 0: name at least 1")
        } else if !(1..=100).contains(&self.failure_percent) {
            Some("failure_percent must lie between 1 and 100")
        } else if self.open_for > self.open_for_max {
            Some("open_for is longer than open_for_max: make the latter at least as long")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::read::from_text;

    const UPSTREAM: &str =
        "[[upstream]]\nname = \"a\"\nprovider = \"anthropic\"\nendpoint = \"http://127.0.0.1\"\n";

    #[test]
    fn an_upstream_may_differ_in_single_settings() {
        let text = format!("{UPSTREAM}queue = 0\nbreaker = {{ failures = 3, open_for = \"2s\" }}\n");
        let config = from_text(&text, Path::new("t.toml"), None).unwrap();
        let upstream = &config.upstreams[0];
        assert_eq!((upstream.queue, upstream.max_concurrent), (Some(0), None));
        let breaker = config.resilience.breaker.overridden(&upstream.breaker);
        assert_eq!((breaker.failures, breaker.open_for.0.as_secs()), (3, 2));
        assert_eq!(breaker.open_for_max, config.resilience.breaker.open_for_max);
    }

    #[test]
    fn bounds_that_let_nothing_through_are_mistakes() {
        let check = |text: &str, words: &str| {
            let mistakes = from_text(text, Path::new("t.toml"), None).unwrap_err();
            let told = format!("{mistakes:?}");
            assert!(mistakes.0.len() == 1 && told.contains(words), "{text}: {told}");
        };
        check(
            "[server]\nrequests_in_flight_max = 0\n",
            "requests_in_flight_max is 0",
        );
        check("[server]\nconnections_max = 0\n", "connections_max is 0");
        check("[resilience]\nmax_concurrent = 0\n", "max_concurrent is 0");
        check("[resilience]\nretry_percent = 101\n", "above 100");
        check("[resilience.breaker]\nfailures = 0\n", "failures is 0");
        check("[resilience.breaker]\nfailure_percent = 0\n", "between 1 and 100");
        check(
            "[resilience.breaker]\nopen_for = \"2m\"\n",
            "longer than open_for_max",
        );
        check(
            &format!("{UPSTREAM}max_concurrent = 0\n"),
            "upstream `a`: max_concurrent",
        );
        check(
            &format!("{UPSTREAM}breaker = {{ failures = 0 }}\n"),
            "upstream `a`: breaker",
        );
        check(&format!("{UPSTREAM}breaker = {{ colour = 1 }}\n"), "unknown key");
    }
}
