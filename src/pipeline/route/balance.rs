//! Which of several equal upstreams comes first.
//!
//! Prompt caches live at one upstream, so a session keeps to one. Rendezvous hashing finds it without
//! memory: each upstream draws a number from its name and the session, and the smallest wins. An
//! upstream that goes away or comes back moves its own sessions and no others.

use crate::pipeline::route::session::Session;
use crate::types::digest::Sha256;
use crate::types::ids::UpstreamName;

/// An upstream may have a quarter more than its share of what runs at all of them before a session is
/// sent elsewhere; and one request more, so that sessions stay where they are while little is running.
const OVER_SHARE_PERCENT: u64 = 125;

/// How the upstreams of a route are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    /// As they are written.
    #[default]
    Ordered,
    /// By session, in proportion to their weights.
    Weighted,
    /// By session, unless its upstream has clearly more than its share; then by what runs at them.
    LeastLoaded,
}

/// What an upstream of a route brings along.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// Its name.
    pub name: &'a UpstreamName,
    /// Its share compared with the others'; one without any comes behind all others.
    pub weight: u32,
    /// Requests that are at it, or wait for it.
    pub load: usize,
}

impl Balance {
    /// The places of these upstreams in the order in which they are tried.
    pub fn order(self, session: &Session<'_>, shares: &[Share<'_>]) -> Vec<usize> {
        match self {
            Self::Ordered => (0..shares.len()).collect(),
            Self::Weighted => places(by_session(session, shares)),
            Self::LeastLoaded => places(by_load(by_session(session, shares))),
        }
    }
}

/// A share with its place in the route.
type Placed<'a> = (usize, Share<'a>);

fn places(ordered: Vec<Placed<'_>>) -> Vec<usize> {
    ordered.into_iter().map(|(place, _)| place).collect()
}

/// The session's own upstream first, then the one that it would have without that, and so on.
fn by_session<'a>(session: &Session<'_>, shares: &[Share<'a>]) -> Vec<Placed<'a>> {
    let seed = session.digest();
    let drawn = shares.iter().enumerate();
    let mut drawn: Vec<(f64, Placed<'a>)> = drawn
        .map(|(place, share)| (draw(&seed, share), (place, *share)))
        .collect();
    // The sort is stable: upstreams without weight stay as they are written.
    drawn.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    drawn.into_iter().map(|(_, placed)| placed).collect()
}

/// The number that an upstream draws for a session. Of exponentially distributed numbers the smallest is
/// each one's in proportion to its rate, so the weight is the rate.
fn draw(seed: &Sha256, share: &Share<'_>) -> f64 {
    let digest = Sha256::of_parts(&[seed.as_bytes(), share.name.as_str().as_bytes()]);
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    let high = f64::from(u32::from_be_bytes([a, b, c, d]));
    let low = f64::from(u32::from_be_bytes([e, f, g, h]));
    let unit = f64::from(u32::MAX) + 1.0;
    // Above 0, and at most 1.
    let even = (high + (low + 1.0) / unit) / unit;
    // A weight of 0 makes this infinite.
    -even.ln().min(-f64::MIN_POSITIVE) / f64::from(share.weight)
}

/// The session's own upstream stays the first while it is not over its share; the others, and it too if
/// it is, come by their loads.
fn by_load(mut ordered: Vec<Placed<'_>>) -> Vec<Placed<'_>> {
    let total: usize = ordered.iter().map(|(_, share)| share.load).sum();
    let weights: u64 = ordered.iter().map(|(_, share)| u64::from(share.weight)).sum();
    let is_over = |share: &Share<'_>| {
        let (load, total) = (as_u64(share.load), as_u64(total));
        // load > 1 + 125 % of total * weight / weights, without fractions.
        load.saturating_sub(1) * 100 * weights > OVER_SHARE_PERCENT * total * u64::from(share.weight)
    };
    let keeps = ordered.first().is_some_and(|(_, own)| !is_over(own));
    let rest = ordered.get_mut(usize::from(keeps)..).unwrap_or_default();
    rest.sort_by(|(_, one), (_, other)| {
        // Those without weight stay behind; else load / weight, without fractions.
        let weightless = (one.weight == 0).cmp(&(other.weight == 0));
        let one_load = as_u64(one.load) * u64::from(other.weight);
        let other_load = as_u64(other.load) * u64::from(one.weight);
        weightless.then(one_load.cmp(&other_load))
    });
    ordered
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ids::{SessionId, TenantId, UserId};
    use uuid::Uuid;

    const SESSIONS: usize = 12_000;

    fn names(names: &[&str]) -> Vec<UpstreamName> {
        names.iter().map(|name| UpstreamName::from(*name)).collect()
    }

    fn shares<'a>(names: &'a [UpstreamName], weights: &[u32], loads: &[usize]) -> Vec<Share<'a>> {
        let parts = names.iter().zip(weights).zip(loads);
        let share = |((name, weight), load): ((&'a UpstreamName, &u32), &usize)| Share {
            name,
            weight: *weight,
            load: *load,
        };
        parts.map(share).collect()
    }

    /// The order for the n-th session, by names.
    fn order<'a>(balance: Balance, session: usize, shares: &[Share<'a>]) -> Vec<&'a str> {
        let id = SessionId::from(format!("session-{session}").as_str());
        let session = Session {
            tenant: TenantId::from_uuid(Uuid::nil()),
            user: UserId::from_uuid(Uuid::nil()),
            own: &id,
            client: None,
        };
        let order = balance.order(&session, shares);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..shares.len()), "each once: {order:?}");
        order
            .into_iter()
            .map(|place| shares[place].name.as_str())
            .collect()
    }

    #[test]
    fn one_upstream_less_moves_its_own_sessions_only() {
        for balance in [Balance::Weighted, Balance::LeastLoaded] {
            let (four, three) = (names(&["a", "b", "c", "d"]), names(&["d", "a", "c"]));
            let with = shares(&four, &[1, 2, 3, 4], &[0; 4]);
            let without = shares(&three, &[4, 1, 3], &[0; 3]);
            for session in 0..2_000 {
                let mut left = order(Balance::Weighted, session, &with);
                left.retain(|name| *name != "b");
                let first = order(balance, session, &without)[0];
                assert_eq!(first, left[0], "{balance:?} {session}");
            }
            let moved = (0..2_000).filter(|session| {
                order(balance, *session, &with)[0] != order(balance, *session, &without)[0]
            });
            let own = (0..2_000).filter(|session| order(balance, *session, &with)[0] == "b");
            assert!(moved.eq(own), "{balance:?}");
        }
    }

    #[test]
    fn the_whole_order_of_a_session_survives_one_that_goes() {
        let (four, three) = (names(&["a", "b", "c", "d"]), names(&["a", "b", "d"]));
        for session in 0..500 {
            let mut with = order(Balance::Weighted, session, &shares(&four, &[1; 4], &[9, 0, 3, 1]));
            with.retain(|name| *name != "c");
            let without = order(Balance::Weighted, session, &shares(&three, &[1; 3], &[0; 3]));
            assert_eq!(with, without, "failover order of session {session}");
        }
    }

    #[test]
    fn sessions_are_spread_by_weight() {
        let names = names(&["a", "b", "c"]);
        let check = |weights: [u32; 3]| {
            let shares = shares(&names, &weights, &[0; 3]);
            let sum: u32 = weights.iter().sum();
            for (name, weight) in ["a", "b", "c"].into_iter().zip(weights) {
                let first =
                    (0..SESSIONS).filter(|session| order(Balance::Weighted, *session, &shares)[0] == name);
                let (found, share) = (first.count() as f64, f64::from(weight) / f64::from(sum));
                let expected = SESSIONS as f64 * share;
                // Five standard deviations of a binomial distribution.
                let bound = 5.0 * (expected * (1.0 - share)).sqrt();
                assert!(
                    (found - expected).abs() <= bound,
                    "{weights:?} {name}: {found}, expected {expected}"
                );
            }
        };
        check([1, 1, 1]);
        check([7, 2, 1]);
        check([100, 1, 0]);
    }

    #[test]
    fn without_weight_means_behind_all_others() {
        let names = names(&["last", "a", "later", "b"]);
        for balance in [Balance::Weighted, Balance::LeastLoaded] {
            for session in 0..200 {
                let order = order(balance, session, &shares(&names, &[0, 1, 0, 3], &[0, 50, 0, 50]));
                assert_eq!(order[2..], ["last", "later"], "{balance:?}");
            }
        }
    }

    #[test]
    fn as_written_means_as_written() {
        let names = names(&["b", "a", "c"]);
        assert_eq!(
            order(Balance::Ordered, 1, &shares(&names, &[0, 5, 1], &[9, 0, 1])),
            ["b", "a", "c"]
        );
    }

    #[test]
    fn a_session_leaves_an_upstream_that_has_more_than_its_share() {
        let names = names(&["a", "b", "c"]);
        let ties = |loads: &[usize; 3], weights: &[u32; 3], session| {
            order(Balance::LeastLoaded, session, &shares(&names, weights, loads))
        };
        let own_is = |name: &str| {
            let idle = [0; 3];
            (0..)
                .find(|session| ties(&idle, &[1; 3], *session)[0] == name)
                .unwrap()
        };
        let session = own_is("a");
        assert_eq!(
            ties(&[1, 0, 0], &[1; 3], session)[0],
            "a",
            "one more is no reason"
        );
        assert_eq!(
            ties(&[40, 35, 30], &[1; 3], session),
            ["a", "c", "b"],
            "within a quarter"
        );
        assert_eq!(
            ties(&[60, 31, 30], &[1; 3], session),
            ["c", "b", "a"],
            "far over its share"
        );
        let heavy = (0..)
            .find(|session| ties(&[0; 3], &[4, 1, 1], *session)[0] == "a")
            .unwrap();
        assert_eq!(
            ties(&[60, 16, 14], &[4, 1, 1], heavy),
            ["a", "c", "b"],
            "its share is larger"
        );
    }
}
