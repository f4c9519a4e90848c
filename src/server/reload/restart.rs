//! Which keys take effect at once, and which wait for a restart.

use crate::config::effective::Effective;

/// What a reload puts in force. Every key that is not at or below one of these waits for a restart,
/// so that a key that nobody thought of is reported instead of being half applied.
const RELOADED: [&str; 15] = [
    "server.body_bytes_max",
    "server.answer_bytes_max",
    "policy",
    "prices",
    "secret_rules",
    "timeouts.idle",
    "timeouts.total",
    "timeouts.body",
    "timeouts.client_write",
    "timeouts.ping",
    "limits",
    "secrets",
    "upstream",
    "model",
    "route",
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
        check("[timeouts]\nidle = \"7s\"\ndrain = \"7s\"\n", &["timeouts.drain"]);
    }

    #[test]
    fn every_reloaded_key_is_one() {
        let known = effective("");
        for name in RELOADED {
            let lists = ["secrets", "upstream", "model", "route"];
            assert!(
                lists.contains(&name) || !known.differing(&Effective::default(), name).is_empty(),
                "{name} is no key of conf/default.toml"
            );
        }
    }
}
