use super::*;
use crate::types::ids::{KeyId, UserId};
use crate::types::principal::Credential;

fn principal(session: &str, roles: &[&str]) -> Principal {
    let id = uuid::Uuid::from_u128(7);
    Principal {
        tenant: TenantId::from_uuid(id),
        tenant_name: "acme".into(),
        user: UserId::from_uuid(id),
        user_name: "ann".into(),
        roles: roles.iter().map(|role| RoleName::from(*role)).collect(),
        teams: Vec::new(),
        credential: Credential::ApiKey(KeyId::from_uuid(id)),
        session: session.into(),
    }
}

fn settings(requests_per_minute: u32) -> Settings {
    Settings {
        requests_per_minute,
        role_multiplier: vec![
            ("admin".into(), 10.0),
            ("user".into(), 1.0),
            ("anonymous".into(), 0.5),
        ],
    }
}

const fn at_micros(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(1_800_000_000_000_000 + micros)
}

fn admitted(limit: &RateLimit, principal: &Principal, now: Timestamp) -> u64 {
    let admissions = (0..100_000).map(|_| limit.admit(principal, now));
    u64::try_from(
        admissions
            .take_while(|a| matches!(a, Admission::Admitted { .. }))
            .count(),
    )
    .unwrap()
}

#[test]
fn admits_the_burst_then_the_rate_exactly() {
    let limit = RateLimit::new(&settings(300));
    let ann = principal("s", &["user"]);
    for left in (0..150).rev() {
        assert_eq!(
            limit.admit(&ann, at_micros(0)),
            Admission::Admitted { remaining: left }
        );
    }
    let wait = Duration::from_millis(200);
    assert_eq!(
        limit.admit(&ann, at_micros(0)),
        Admission::Limited { retry_after: wait }
    );
    let almost = limit.admit(&ann, at_micros(199_999));
    assert_eq!(
        almost,
        Admission::Limited {
            retry_after: Duration::from_micros(1)
        }
    );
    assert_eq!(
        limit.admit(&ann, at_micros(200_000)),
        Admission::Admitted { remaining: 0 }
    );
    assert_eq!(admitted(&limit, &ann, at_micros(60_200_000)), 150);
}

#[test]
fn the_best_role_counts() {
    let limit = RateLimit::new(&settings(60));
    let check = |session: &str, roles: &[&str], burst: u64| {
        let caller = principal(session, roles);
        assert_eq!(limit.burst(&caller), burst);
        assert_eq!(admitted(&limit, &caller, at_micros(0)), burst);
    };
    check("a", &["anonymous"], 15);
    check("b", &["user"], 30);
    check("c", &["admin", "anonymous", "user"], 300);
    check("d", &["unheard-of"], 30);
    check("e", &[], 30);
}

#[test]
fn sessions_and_tenants_do_not_share_a_rate() {
    let limit = RateLimit::new(&settings(2));
    let ann = principal("s", &[]);
    let mut other_tenant = ann.clone();
    other_tenant.tenant = TenantId::from_uuid(uuid::Uuid::from_u128(8));
    for caller in [&ann, &principal("t", &[]), &other_tenant] {
        assert_eq!(
            limit.admit(caller, at_micros(0)),
            Admission::Admitted { remaining: 0 }
        );
        let wait = Duration::from_secs(30);
        assert_eq!(
            limit.admit(caller, at_micros(0)),
            Admission::Limited { retry_after: wait }
        );
    }
}

#[test]
fn a_rate_below_one_per_burst_still_admits_one() {
    let limit = RateLimit::new(&settings(1));
    let ann = principal("s", &["anonymous"]);
    assert_eq!(
        limit.admit(&ann, at_micros(0)),
        Admission::Admitted { remaining: 0 }
    );
    let wait = Duration::from_secs(120);
    assert_eq!(
        limit.admit(&ann, at_micros(0)),
        Admission::Limited { retry_after: wait }
    );
}

#[test]
fn a_rate_of_zero_admits_one_a_day() {
    let limit = RateLimit::new(&settings(0));
    let ann = principal("s", &[]);
    assert_eq!(admitted(&limit, &ann, at_micros(0)), 1);
}

#[test]
fn a_clock_that_steps_back_costs_no_more_than_one_interval() {
    let limit = RateLimit::new(&settings(60));
    let ann = principal("s", &[]);
    assert_eq!(admitted(&limit, &ann, at_micros(3_600_000_000)), 30);
    let wait = Duration::from_secs(1);
    assert_eq!(
        limit.admit(&ann, at_micros(0)),
        Admission::Limited { retry_after: wait }
    );
    assert_eq!(admitted(&limit, &ann, at_micros(1_000_000)), 1);
    assert_eq!(admitted(&limit, &ann, at_micros(3_000_000)), 2);
}

#[test]
fn memory_is_bounded_and_the_busiest_are_remembered() {
    let limit = RateLimit::with_capacity(&settings(60), SHARDS * 8);
    let busy = principal("busy", &[]);
    assert_eq!(admitted(&limit, &busy, at_micros(0)), 30);
    for guest in 0..5_000 {
        limit.admit(&principal(&guest.to_string(), &[]), at_micros(0));
    }
    assert!(matches!(
        limit.admit(&busy, at_micros(0)),
        Admission::Limited { .. }
    ));
    let remembered: usize = limit.shards.iter().map(|shard| shard.lock().len()).sum();
    assert!(remembered <= SHARDS * 8, "{remembered}");
}

#[test]
fn sessions_that_recovered_are_forgotten_first() {
    let mut sessions: HashMap<SessionKey, u64> = (0..16u64)
        .map(|n| {
            (
                (
                    TenantId::from_uuid(uuid::Uuid::nil()),
                    n.to_string().as_str().into(),
                ),
                n * 10,
            )
        })
        .collect();
    forget_some(&mut sessions, 100);
    let mut left: Vec<u64> = sessions.into_values().collect();
    left.sort_unstable();
    assert_eq!(left, [110, 120, 130, 140, 150]);
}

#[test]
fn other_settings_forget_nothing() {
    let before = RateLimit::new(&settings(60));
    let ann = principal("s", &["user"]);
    assert_eq!(admitted(&before, &ann, at_micros(0)), 30);
    let same = before.with_settings(&settings(60));
    assert_eq!(
        admitted(&same, &ann, at_micros(0)),
        0,
        "a reload gives no new burst"
    );
    let faster = before.with_settings(&settings(600));
    assert_eq!(admitted(&faster, &ann, at_micros(0)), 0);
    assert_eq!(
        admitted(&faster, &ann, at_micros(1_000_000)),
        10,
        "at the new rate"
    );
}
