//! Which keys take effect at once, and which wait for a restart.

use crate::config::effective::Effective;

/// What a reload puts in force. Every key that is not at or below one of these waits for a restart,
/// so that a key that nobody thought of is reported instead of being half applied.
const RELOADED: [&str; 18] = [
    "server.body_bytes_max",
    "server.answer_bytes_max",
    "server.requests_in_flight_max",
    "server.connections_max",
    "server.trusted_proxies",
    "policy",
    "prices",
    "secret_rules",
    "timeouts",
    "limits",
    "resilience",
    "egress",
    "log.filter",
    "secrets",
    "upstream",
    "model",
    "route",
    "price",
];

/// The keys that differ from those that the process started with and wait for a restart. A declared
/// tenant is made at once; one that is no longer declared stays until it is removed by hand.
pub fn waiting(now: &Effective, started_with: &Effective) -> Vec<String> {
    let reloaded = |key: &str| {
        let mut names = RELOADED.iter().chain(&["tenant"]);
        names.any(|name| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let differing = now.differing(started_with, "");
    let waiting = differing.into_iter().filter(|key| !reloaded(key));
    waiting.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::read;

    fn effective(text: &str) -> Effective {
        read::from_text(text, Path::new("t.toml"), None)
            .unwrap()
            .effective
    }

    #[test]
    fn listeners_and_store_wait_and_the_rest_does_not() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(waiting(&effective(text), &effective("")), expected, "{text}");
        };
        check("", &[]);
        check("[server]\nlisten = [\"127.0.0.1:1\"]\n", &["server.listen"]);
        check("[store]\nurl = \"sqlite:x\"\n", &["store.url"]);
        check(
            "[ledger]\nkeep = \"1h\"\n[metrics]\nlisten = \"127.0.0.1:1\"\n",
            &["ledger.keep", "metrics.listen"],
        );
        check(
            "[limits]\nrequests_per_minute = 7\n[[tenant]]\nname = \"a\"\n",
            &[],
        );
        check(
            "[[upstream]]\nname = \"a\"\nprovider = \"openai\"\nendpoint = \"http://h\"\n",
            &[],
        );
        check("[timeouts]\nidle = \"7s\"\ndrain = \"7s\"\n", &[]);
        check("[log]\nfilter = \"warn\"\nformat = \"json\"\n", &["log.format"]);
    }

    /// What the list under this heading of the how-to names.
    fn documented(heading: &str) -> Vec<&'static str> {
        let text = include_str!("../../../docs/how-to/reload.md");
        let (_, section) = text.split_once(heading).unwrap();
        let list = section.trim_start().split("\n\n").next().unwrap();
        // `client_idle` and `drain` are said to belong to `timeouts`.
        let notes = ["client_idle", "drain"];
        let names = list.split('`').skip(1).step_by(2);
        names.filter(|name| !notes.contains(name)).collect()
    }

    #[test]
    fn the_how_to_tells_the_same() {
        let mut at_once = documented("## What takes effect at once\n");
        at_once.sort_unstable();
        let mut reloaded = [RELOADED.as_slice(), &["tenant"]].concat();
        reloaded.sort_unstable();
        assert_eq!(at_once, reloaded);
        let waits = documented("## What waits for a restart\n");
        let known = effective("");
        let mut waiting: Vec<&str> = waiting(&known, &Effective::default())
            .iter()
            .map(|key| {
                let covers = |name: &&&str| {
                    key.strip_prefix(**name)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                *waits
                    .iter()
                    .find(covers)
                    .unwrap_or_else(|| panic!("{key} is not in docs/how-to/reload.md"))
            })
            .collect();
        waiting.dedup();
        let optional = ["server.tls"];
        let told: Vec<&&str> = waits.iter().filter(|name| !optional.contains(name)).collect();
        assert!(
            told.iter().all(|name| waiting.contains(name)),
            "{told:?} are not all keys: {waiting:?}"
        );
    }

    #[test]
    fn every_reloaded_key_is_one() {
        let known = effective("");
        for name in RELOADED {
            let lists = ["secrets", "upstream", "model", "route", "price"];
            assert!(
                lists.contains(&name) || !known.differing(&Effective::default(), name).is_empty(),
                "{name} is no key of conf/default.toml"
            );
        }
    }
}
