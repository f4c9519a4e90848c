//! Which requests go where: the conditions of routes, over the real binary.

use serde_json::{Value, json};
use tollgate::types::clock::{Clock as _, SystemClock};
use tollgate::types::hours::Weekday;

use crate::reload::generation;
use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::{Gateway, run};
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;

/// Two upstreams: one behind a route with these conditions, one behind the route after it.
struct Two {
    special: Upstream,
    usual: Upstream,
    gateway: Gateway,
}

impl Two {
    fn setup(conditions: &str, special: &Upstream, usual: &Upstream) -> Setup {
        let route = |more: &str, upstream: &str| {
            format!("[[route]]\nmodel_pattern = \"claude-*\"\nupstreams = [\"{upstream}\"]\n{more}\n")
        };
        Setup::new()
            .upstream("special", "anthropic", &special.url())
            .upstream("usual", "anthropic", &usual.url())
            .model(MODEL)
            .table("[[tenant]]\nname = \"other\"\nregion = \"us\"\n")
            .table(&route(&format!("name = \"special\"\n{conditions}"), "special"))
            .table(&route("", "usual"))
    }

    async fn with(conditions: &str) -> Self {
        let (special, usual) = (anthropic_sim::start().await, anthropic_sim::start().await);
        let gateway = Self::setup(conditions, &special, &usual).start().await;
        Self {
            special,
            usual,
            gateway,
        }
    }

    /// Sends this and says whether it went the special way.
    async fn goes_specially(&self, key: &str, body: &Value) -> bool {
        let before = (self.special.count(), self.usual.count());
        let answer = self.gateway.call(&Call::messages(key, body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (special, usual) = (self.special.count() - before.0, self.usual.count() - before.1);
        assert_eq!(special + usual, 1, "one request, one upstream");
        special == 1
    }
}

/// A user with a role and a team, and a key.
async fn member(gateway: &Gateway, tenant: &str, name: &str, role: &str, team: &str) -> String {
    let create = [
        "user", "create", "--tenant", tenant, name, "--role", role, "--team", team,
    ];
    gateway.cli(&create).await.ok();
    let key = ["key", "create", "--tenant", tenant, name, "--json"];
    gateway.cli(&key).await.json()["key"].as_str().unwrap().to_owned()
}

/// Callers of these kinds, and whether each goes the special way.
async fn check_callers(conditions: &str, expected: [bool; 4]) {
    let two = Two::with(conditions).await;
    let callers = [
        ("acme", "ada@acme.test", "user", "payments"),
        ("acme", "bot@acme.test", "service", "payments"),
        ("acme", "bob@acme.test", "user", "search"),
        ("other", "eve@other.test", "user", "payments"),
    ];
    for ((tenant, name, role, team), expected) in callers.into_iter().zip(expected) {
        let key = member(&two.gateway, tenant, name, role, team).await;
        let special = two.goes_specially(&key, &ask("hello")).await;
        assert_eq!(special, expected, "{name} with {conditions}");
    }
}

#[tokio::test]
async fn a_route_is_for_its_tenants_teams_and_roles() {
    check_callers("tenants = [\"other\"]", [false, false, false, true]).await;
    check_callers("regions = [\"us\"]", [false, false, false, true]).await;
    check_callers("regions = [\"us\"]\ntenants = [\"acme\"]", [false; 4]).await;
    check_callers("teams = [\"payments\", \"ops\"]", [true, true, false, true]).await;
    check_callers("roles = [\"service\"]", [false, true, false, false]).await;
    check_callers(
        "tenants = [\"acme\"]\nteams = [\"payments\"]\nroles = [\"user\"]",
        [true, false, false, false],
    )
    .await;
}

#[tokio::test]
async fn a_route_is_for_requests_with_its_features() {
    let mut tools = ask("hello");
    tools["tools"] = json!([{"name": "read", "input_schema": {"type": "object"}}]);
    let mut thinking = ask("hello");
    thinking["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    let mut image = ask("hello");
    image["messages"][0]["content"] = json!([{"type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]);
    let mut both = tools.clone();
    both["stream"] = json!(true);
    let asked = [
        ask("hello"),
        ask_stream("hello"),
        tools,
        thinking,
        image,
        both,
        ask(&"long ".repeat(1_000)),
    ];
    let cases: [(&str, [bool; 7]); 6] = [
        (
            "features = [\"stream\"]",
            [false, true, false, false, false, true, false],
        ),
        (
            "features = [\"tools\"]",
            [false, false, true, false, false, true, false],
        ),
        (
            "features = [\"thinking\"]",
            [false, false, false, true, false, false, false],
        ),
        (
            "features = [\"images\"]",
            [false, false, false, false, true, false, false],
        ),
        (
            "features = [\"tools\", \"stream\"]",
            [false, false, false, false, false, true, false],
        ),
        (
            "text_bytes_min = \"4 KiB\"",
            [false, false, false, false, false, false, true],
        ),
    ];
    for (conditions, expected) in cases {
        let two = Two::with(conditions).await;
        let key = two.gateway.any_key().await;
        for (body, expected) in asked.iter().zip(expected) {
            let special = two.goes_specially(&key, body).await;
            assert_eq!(special, expected, "{conditions}: {body}");
        }
    }
}

/// The hours from so many hours after now to so many.
fn hours(from: i64, to: i64) -> String {
    let now = SystemClock.now().unix_seconds() / 3_600;
    let hour = |after: i64| (now + after).rem_euclid(24);
    format!("hours = \"{:02}:00-{:02}:00\"", hour(from), hour(to))
}

#[tokio::test]
async fn a_route_is_for_its_hours_and_days() {
    let today = Weekday::of(SystemClock.now()).as_str();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let at = days.iter().position(|day| *day == today).unwrap();
    let day = |after: usize| days[(at + after) % 7];
    // Midnight may come while this runs.
    let now = format!("weekdays = [\"{today}\", \"{}\"]", day(1));
    let not_now = format!("weekdays = [\"{}\", \"{}\"]", day(3), day(4));
    let cases = [
        (hours(-2, 3), true),
        (hours(3, 6), false),
        (now.clone(), true),
        (not_now.clone(), false),
        (format!("{}\n{now}", hours(-2, 3)), true),
        (format!("{}\n{not_now}", hours(-2, 3)), false),
    ];
    for (conditions, expected) in cases {
        let two = Two::with(&conditions).await;
        let key = two.gateway.any_key().await;
        assert_eq!(
            two.goes_specially(&key, &ask("hello")).await,
            expected,
            "{conditions}"
        );
    }
}

fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_model_that_no_route_has_for_the_caller_is_not_found_and_not_listed() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::new()
        .upstream("sim", "anthropic", &sim.url())
        .model(MODEL)
        .table("[[route]]\nmodel_pattern = \"claude-*\"\nroles = [\"service\"]\nfeatures = [\"stream\"]\nupstreams = [\"sim\"]\n")
        .start()
        .await;
    let user = gateway.any_key().await;
    let service = gateway.user("bot@acme.test", "service").await.key;
    let list = Call::new("GET", "/v1/models");
    assert!(ids(&gateway.call(&list.clone().key(&user)).await).is_empty());
    assert_eq!(ids(&gateway.call(&list.key(&service)).await), [MODEL]);

    let mut unknown = ask_stream("hello");
    unknown["model"] = json!("claude-sonnet-4-7");
    let not_mine = gateway.call(&Call::messages(&user, &ask_stream("hello"))).await;
    let nobodys = gateway.call(&Call::messages(&user, &unknown)).await;
    assert_eq!((not_mine.status, nobodys.status), (404, 404));
    assert_eq!(
        not_mine.error_message().replace("4-6", "4-7"),
        nobodys.error_message(),
        "nobody learns that others have a route"
    );
    let whole = gateway.call(&Call::messages(&service, &ask("hello"))).await;
    assert_eq!(whole.status, 404, "the route is for streams");
    assert_eq!(sim.count(), 0);
    let stream = gateway
        .call(&Call::messages(&service, &ask_stream("hello")))
        .await;
    assert_eq!((stream.status, sim.count()), (200, 1));
}

#[tokio::test]
async fn policies_judge_what_a_route_leads_to() {
    let (special, usual) = (anthropic_sim::start().await, anthropic_sim::start().await);
    let forbidden = r#"@id("not-the-special-one") forbid (principal, action == Action::"connect",
        resource == Upstream::"special");"#;
    let gateway = Two::setup("features = [\"stream\"]", &special, &usual)
        .policy(forbidden)
        .start()
        .await;
    let key = gateway.any_key().await;
    let refused = gateway.call(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(
        (special.count(), usual.count()),
        (0, 0),
        "no other route takes its place"
    );
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
}

#[tokio::test]
async fn conditions_change_with_a_reload() {
    let two = Two::with("roles = [\"service\"]").await;
    let key = two.gateway.any_key().await;
    assert!(!two.goes_specially(&key, &ask("hello")).await);
    let config = two.gateway.home.read("tollgate.toml");
    let changed = config.replace("roles = [\"service\"]", "roles = [\"user\"]");
    two.gateway.home.write("tollgate.toml", &changed);
    generation(&two.gateway, 2.0).await;
    assert!(two.goes_specially(&key, &ask("hello")).await);
}

#[tokio::test]
async fn mistakes_in_routes_are_named_with_their_lines() {
    let sim = anthropic_sim::start().await;
    let bad = "[[route]]\nmodel_pattern = \"claude-*\" # again\nupstreams = [\"sim\"]\n\
        [[route]]\nmodel_pattern = \"nobody-*\"\nroles = []\nupstreams = [\"sim\"]\n\
        [[route]]\nmodel_pattern = \"b\"\nregions = [\"atlantis\"]\nupstreams = [\"sim\"]\n\
        [[route]]\nmodel_pattern = \"a\"\nhours = \"8-18\"\nfeatures = [\"video\"]\nweekdays = [\"someday\"]\nupstreams = [\"sim\"]\n";
    for (part, marks) in [
        (
            bad.split("[[route]]\nmodel_pattern = \"a\"").next().unwrap(),
            &["# again", "nobody-*", "atlantis"][..],
        ),
        (bad, &["8-18", "video", "someday"][..]),
    ] {
        let (home, environment) = Setup::anthropic(&sim).table(part).write();
        let text = home.read("tollgate.toml");
        let file = home.join("tollgate.toml");
        let output = run(&["--config", file.to_str().unwrap(), "check"], &environment).await;
        assert_ne!(output.code, 0);
        let told = output.stdout + &output.stderr;
        for mark in marks {
            let line = text.lines().position(|line| line.contains(mark)).unwrap() + 1;
            let place = format!("tollgate.toml:{line}:");
            assert!(told.contains(&place), "{mark} at {place} in:\n{told}");
        }
    }
}
