use super::facts::{Candidate, Facts};
use super::policies::{Policies, SHIPPED};
use super::verdict::{Decision, Denial, DenialKind, Outcome, Permit, Stage};
use super::{decide, may_invoke};
use crate::dialect::operation::Operation;
use crate::pipeline::inspect::finding::Blocked;
use crate::pipeline::inspect::place::{Location, Place};
use crate::types::clock::{Clock, Timestamp};
use crate::types::digest::Sha256;
use crate::types::ids::{KeyId, TenantId, UserId};
use crate::types::peer::ClientCertificate;
use crate::types::principal::{Credential, Principal};

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(0)
    }
}

fn facts(roles: &[&str]) -> Facts {
    let id = uuid::Uuid::from_u128(7);
    Facts {
        principal: Principal {
            tenant: TenantId::from_uuid(id),
            tenant_name: "acme".into(),
            user: UserId::from_uuid(id),
            user_name: "ann".into(),
            roles: roles.iter().map(|role| (*role).into()).collect(),
            teams: vec!["research".into()],
            credential: Credential::ApiKey(KeyId::from_uuid(id)),
            session: "s".into(),
        },
        certificate: None,
        endpoint: Operation::Messages,
        requested_model: "claude-sonnet-4-6".into(),
        candidates: vec![
            candidate("anthropic", "claude-sonnet-4-6"),
            candidate("bedrock-eu", "eu.anthropic.claude"),
        ],
        powers: Vec::new(),
        findings: Vec::new(),
        blocked: None,
        stream: true,
        max_tokens: Some(1024),
        tools: 2,
    }
}

fn candidate(upstream: &str, model: &str) -> Candidate {
    Candidate {
        upstream: upstream.into(),
        served_model: model.into(),
    }
}

fn policies(extra: &str) -> Policies {
    let extra = ("extra.cedar".to_owned(), extra.to_owned());
    Policies::load(&[(SHIPPED.0.into(), SHIPPED.1.into()), extra]).unwrap()
}

fn permit(facts: &Facts, policies: &Policies) -> Permit {
    match decide(facts, policies, &Stopped) {
        Decision::Permit(permit) => permit,
        Decision::Deny(denial) => panic!("denied: {denial:?}"),
    }
}

fn denial(facts: &Facts, policies: &Policies) -> Denial {
    match decide(facts, policies, &Stopped) {
        Decision::Permit(permit) => panic!("permitted: {permit:?}"),
        Decision::Deny(denial) => denial,
    }
}

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let files = [("bad.cedar".to_owned(), text.to_owned())];
    let mistakes = Policies::load(&files).unwrap_err();
    mistakes
        .into_iter()
        .map(|mistake| (mistake.line, mistake.message))
        .collect()
}

#[test]
fn shipped_policies_are_a_matrix_of_roles_and_powers() {
    let shipped = Policies::shipped().unwrap();
    let powers = [
        "server_tool/web_search",
        "server_tool/web_fetch",
        "url_source/example.com",
        "server_tool/tool_search_tool_bm25",
        "server_tool/code_execution",
        "server_tool/advisor",
        "server_tool/unknown",
        "mcp_connector/example.com",
        "upstream_state/file",
        "upstream_state/container",
        "upstream_choice/fallbacks",
        "source/unknown",
    ];
    let check = |role: &str, expected: &str| {
        let mut row = String::new();
        let plain = decide(&facts(&[role]), &shipped, &Stopped);
        row.push(if matches!(plain, Decision::Permit(_)) {
            '+'
        } else {
            '-'
        });
        row.push(' ');
        for power in powers {
            let mut facts = facts(&[role]);
            facts.powers = vec![power.into()];
            let decision = decide(&facts, &shipped, &Stopped);
            row.push(if matches!(decision, Decision::Permit(_)) {
                '+'
            } else {
                '-'
            });
        }
        assert_eq!(row, expected, "{role}");
    };
    check("admin", "+ ++++--------");
    check("user", "+ ++++--------");
    check("service", "+ ++++--------");
    check("a2a", "+ ---+--------");
    check("mcp", "+ ---+--------");
    check("anonymous", "- ------------");
    check("no-such-role", "- ------------");
}

#[test]
fn permits_with_a_verdict_per_stage() {
    let policies = policies("");
    let permit = permit(&facts(&["user"]), &policies);
    assert_eq!(permit.candidates(), facts(&["user"]).candidates);
    assert_eq!(permit.policy_digest(), policies.digest());
    let stages: Vec<_> = permit
        .verdicts()
        .iter()
        .map(|verdict| (verdict.stage, verdict.outcome))
        .collect();
    let pass = |stage| (stage, Outcome::Pass);
    assert_eq!(
        stages,
        [pass(Stage::Scope), pass(Stage::Secrets), pass(Stage::Policy)]
    );
    let rules: Vec<_> = permit
        .verdicts()
        .iter()
        .map(|verdict| verdict.rule.join(" "))
        .collect();
    assert_eq!(
        rules,
        [
            "tiers-may-invoke-models",
            "",
            "tiers-may-connect-to-upstreams tiers-may-invoke-models"
        ]
    );
}

#[test]
fn the_same_facts_are_permitted_again_without_asking() {
    let policies = policies("");
    let facts = facts(&["user"]);
    let first = permit(&facts, &policies);
    assert_eq!(first.remembered_in(), None);
    let again = permit(&facts, &policies);
    assert!(again.remembered_in().is_some());
    assert_eq!(again.candidates(), first.candidates());
    assert_eq!(again.verdicts(), first.verdicts());
}

#[test]
fn any_other_fact_or_policy_is_asked_about_again() {
    let known = policies("");
    permit(&facts(&["user"]), &known);
    let changes: [fn(&mut Facts); 8] = [
        |facts| facts.principal.roles = vec!["anonymous".into()],
        |facts| facts.principal.teams.push("another".into()),
        |facts| facts.requested_model = "claude-opus-4-1".into(),
        |facts| facts.candidates.truncate(1),
        |facts| facts.powers = vec!["server_tool/unknown".into()],
        |facts| facts.findings = vec!["pem-private-key".into()],
        |facts| facts.max_tokens = Some(7),
        |facts| facts.stream = !facts.stream,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = facts(&["user"]);
        change(&mut changed);
        if let Decision::Permit(permit) = decide(&changed, &known, &Stopped) {
            assert_eq!(permit.remembered_in(), None, "change {number}");
        }
    }
    let stricter = policies(r#"@id("nobody") forbid (principal, action, resource);"#);
    denial(&facts(&["user"]), &stricter);
}

fn certificate(uri: &str) -> ClientCertificate {
    ClientCertificate {
        subject: "CN=ann".into(),
        common_name: Some("ann".into()),
        dns_names: vec!["ann.laptops.test".into()],
        uris: vec![uri.into()],
        emails: Vec::new(),
        sha256: Sha256::of(uri.as_bytes()),
    }
}

#[test]
fn policies_see_the_certificate_of_the_connection() {
    let fleet = "spiffe://acme.test/fleet";
    let print = certificate(fleet).sha256;
    let check = |condition: &str| {
        let text = format!(
            r#"@id("fleet-only") forbid (principal, action == Action::"connect", resource)
               unless {{ context has client_certificate && {condition} }};"#
        );
        let policies = policies(&text);
        let mut facts = facts(&["user"]);
        assert_eq!(
            *denial(&facts, &policies).rule,
            [Box::<str>::from("fleet-only")],
            "no certificate"
        );
        facts.certificate = Some(certificate(fleet));
        assert_eq!(permit(&facts, &policies).remembered_in(), None, "{condition}");
        assert!(permit(&facts, &policies).remembered_in().is_some());
        facts.certificate = Some(ClientCertificate {
            common_name: None,
            dns_names: Vec::new(),
            ..certificate("spiffe://acme.test/other")
        });
        assert_eq!(
            *denial(&facts, &policies).rule,
            [Box::<str>::from("fleet-only")],
            "{condition}"
        );
    };
    check(&format!(r#"context.client_certificate.uris.contains("{fleet}")"#));
    check(r#"context.client_certificate.dns_names.contains("ann.laptops.test")"#);
    check(r#"context.client_certificate has common_name && context.client_certificate.common_name == "ann""#);
    check(&format!(r#"context.client_certificate.sha256 == "{print}""#));
}

#[test]
fn a_permit_is_remembered_for_the_very_certificate_that_it_was_given_on() {
    let policies = policies("");
    let mut facts = facts(&["user"]);
    facts.certificate = Some(certificate("spiffe://acme.test/fleet"));
    permit(&facts, &policies);
    // The same names, issued anew: other bytes, so another certificate.
    let issued_anew = ClientCertificate {
        sha256: Sha256::of(b"issued anew"),
        ..certificate("spiffe://acme.test/fleet")
    };
    for other in [
        None,
        Some(issued_anew),
        Some(certificate("spiffe://acme.test/other")),
    ] {
        let mut changed = facts.clone();
        changed.certificate = other;
        assert_eq!(permit(&changed, &policies).remembered_in(), None);
    }
    assert!(permit(&facts, &policies).remembered_in().is_some());
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_used_stays() {
    let policies = policies("");
    let used = facts(&["user"]);
    permit(&used, &policies);
    for tokens in 0..1_000 {
        let mut other = facts(&["user"]);
        other.max_tokens = Some(tokens);
        permit(&other, &policies);
        assert!(permit(&used, &policies).remembered_in().is_some(), "{tokens}");
    }
    let mut first = facts(&["user"]);
    first.max_tokens = Some(0);
    assert_eq!(permit(&first, &policies).remembered_in(), None);
}

#[test]
fn a_model_kept_from_the_caller_looks_like_one_that_does_not_exist() {
    let policies = policies("");
    let kept = denial(&facts(&["anonymous"]), &policies);
    let mut unrouted = facts(&["user"]);
    unrouted.candidates.clear();
    let missing = denial(&unrouted, &policies);
    for denial in [&kept, &missing] {
        assert_eq!(
            (denial.stage, denial.kind),
            (Stage::Scope, DenialKind::UnknownModel)
        );
        assert_eq!(denial.client_text(), "model: claude-sonnet-4-6");
    }
    assert_ne!(kept.reason, missing.reason);
}

#[test]
fn a_forbid_wins_and_is_named() {
    let policies = policies(
        r#"@id("no-sonnet-for-research")
        forbid (principal in Team::"acme/research", action == Action::"invoke", resource == Model::"claude-sonnet-4-6");"#,
    );
    let denial = denial(&facts(&["admin"]), &policies);
    assert_eq!((denial.stage, denial.kind), (Stage::Scope, DenialKind::Policy));
    assert_eq!(*denial.rule, [Box::<str>::from("no-sonnet-for-research")]);
    assert!(
        denial.client_text().contains("no-sonnet-for-research"),
        "{}",
        denial.client_text()
    );
    let mut other_team = facts(&["admin"]);
    other_team.principal.teams = vec!["sales".into()];
    permit(&other_team, &policies);
}

#[test]
fn forbidden_candidates_fall_away_and_none_left_is_a_denial() {
    let no_model =
        r#"@id("no-bedrock-claude") forbid (principal, action, resource == Model::"eu.anthropic.claude");"#;
    let no_upstream = r#"@id("no-bedrock") forbid (principal, action == Action::"connect", resource == Upstream::"bedrock-eu");"#;
    let no_first = r#"@id("no-anthropic") forbid (principal, action == Action::"connect", resource == Upstream::"anthropic");"#;
    let left = |extra: &str| permit(&facts(&["user"]), &policies(extra)).candidates().to_vec();
    assert_eq!(left(no_model), [candidate("anthropic", "claude-sonnet-4-6")]);
    assert_eq!(left(no_upstream), [candidate("anthropic", "claude-sonnet-4-6")]);
    assert_eq!(left(no_first), [candidate("bedrock-eu", "eu.anthropic.claude")]);
    let denial = denial(&facts(&["user"]), &policies(&[no_first, no_model].concat()));
    assert_eq!((denial.stage, denial.kind), (Stage::Policy, DenialKind::Policy));
    assert_eq!(*denial.rule, [Box::<str>::from("no-anthropic")]);
}

#[test]
fn policies_see_the_facts_of_the_request() {
    let policies = policies(
        r#"@id("short-answers") forbid (principal, action == Action::"invoke", resource)
           when { context has max_tokens && context.max_tokens > 4096 };
           @id("no-keys") forbid (principal, action == Action::"connect", resource)
           when { context.findings.contains("pem-private-key") && context.endpoint == "messages" };
           @id("few-tools") forbid (principal, action == Action::"invoke", resource)
           when { context.tools > 100 && context.stream };"#,
    );
    let check = |change: fn(&mut Facts), rule: &str| {
        let mut facts = facts(&["user"]);
        change(&mut facts);
        assert_eq!(*denial(&facts, &policies).rule, [Box::<str>::from(rule)]);
    };
    permit(&facts(&["user"]), &policies);
    check(|facts| facts.max_tokens = Some(u64::MAX), "short-answers");
    check(|facts| facts.findings = vec!["pem-private-key".into()], "no-keys");
    check(|facts| facts.tools = 101, "few-tools");
}

#[test]
fn a_secret_denies_after_scope_and_before_policy() {
    let policies = policies("");
    let mut facts = facts(&["user"]);
    facts.powers = vec!["server_tool/unknown".into()];
    facts.blocked = Some(Blocked::Secret {
        kind: "github-token".into(),
        place: Place::NewestUserText,
        location: Location::Block(4, 1),
    });
    let refused = denial(&facts, &policies);
    assert_eq!(
        (refused.stage, refused.kind),
        (Stage::Secrets, DenialKind::Secret)
    );
    let text = refused.client_text();
    assert!(
        text.contains("github-token") && text.contains("messages[4].content[1]"),
        "{text}"
    );
    facts.principal.roles.clear();
    assert_eq!(denial(&facts, &policies).stage, Stage::Scope);
}

#[test]
fn what_cannot_be_evaluated_is_denied() {
    let policies = policies(
        r#"@id("overflows") permit (principal, action == Action::"invoke", resource)
           when { context has max_tokens && context.max_tokens * 9000000000000000000 > 0 };"#,
    );
    let denial = denial(&facts(&["user"]), &policies);
    assert_eq!(
        (denial.kind, &*denial.rule),
        (DenialKind::Policy, &[Box::<str>::from("overflows")][..])
    );
}

#[test]
fn decisions_are_pure() {
    let policies = policies("");
    let facts = facts(&["anonymous"]);
    let again: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
    assert_eq!(denial(&facts, &policies), denial(&again, &policies));
}

#[test]
fn lists_the_models_that_may_be_invoked() {
    let policies = policies(
        r#"@id("no-opus") forbid (principal, action == Action::"invoke", resource == Model::"claude-opus-5-5");"#,
    );
    let check = |role: &str, model: &str, expected: bool| {
        let principal = facts(&[role]).principal;
        assert_eq!(
            may_invoke(&principal, None, &model.into(), &policies),
            expected,
            "{role} {model}"
        );
    };
    check("user", "claude-sonnet-4-6", true);
    check("user", "claude-opus-5-5", false);
    check("anonymous", "claude-sonnet-4-6", false);
}

#[test]
fn mistakes_are_reported_all_at_once_with_their_lines() {
    let text = r#"// a comment

permit (principal, action == Action::"invoke", resource);
@id("typo")
permit (principal, action == Action::"invoke", resource)
when { context.steam };
@id("twice")
permit (principal, action == Action::"call", resource);
@id("twice")
forbid (principal, action == Action::"call", resource);
@id("broken")
permit (principal, action resource);
@id("nobody") permit (principal == Robot::"r2", action, resource);
@id("open") permit (principal, action == Action::"call", resource)"#;
    let found = mistakes(text);
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 6, 9, 12, 13, 14], "{found:#?}");
    assert!(found[0].1.contains("@id"), "{}", found[0].1);
    assert!(found[1].1.contains("steam"), "{}", found[1].1);
    assert!(found[2].1.contains("bad.cedar:7"), "{}", found[2].1);
}

#[test]
fn a_policy_that_can_never_apply_is_a_mistake() {
    let text =
        r#"@id("never") forbid (principal, action == Action::"connect", resource == Model::"claude");"#;
    let found = mistakes(text);
    assert!(found.iter().all(|(line, _)| *line == 1), "{found:#?}");
    let valid = r#"@id("valid") forbid (principal, action == Action::"connect", resource);"#;
    assert!(Policies::load(&[("valid.cedar".into(), valid.into())]).is_ok());
}

#[test]
fn the_digest_follows_content_not_order_or_line_ends() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let one = r#"@id("a") permit (principal, action == Action::"call", resource);"#;
    let two = "@id(\"b\")\nforbid (principal, action == Action::\"call\", resource);";
    let digest = |files: &[(String, String)]| Policies::load(files).unwrap().digest();
    let base = digest(&[file("1", one), file("2", two)]);
    assert_eq!(
        digest(&[file("2", &two.replace('\n', "\r\n")), file("1", one)]),
        base
    );
    assert_ne!(digest(&[file("1", two), file("2", one)]), base);
    assert_ne!(digest(&[file("1", &format!("{one}{two}")), file("2", "")]), base);
}
