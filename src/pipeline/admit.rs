//! Admit: may this session send another request now?
//!
//! Input: a principal and the time. Output: what is left, or how long to wait, to the microsecond.
//! Asked from the head alone, before a byte of body is read. Invariants: memory is bounded by
//! [`SESSIONS_MAX`]; a session that is forgotten is one that was allowed its whole burst anyway, or
//! the least active one; a clock that steps back never locks a session out for longer than a burst.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::types::clock::Timestamp;
use crate::types::ids::{RoleName, SessionId, TenantId};
use crate::types::principal::Principal;

/// Sessions remembered at most, over all shards.
pub const SESSIONS_MAX: usize = 65_536;
/// Parts of the map with a lock of their own.
const SHARDS: usize = 16;
/// How much of its rate a session may use at once: 3 × 10 s.
const BURST: Duration = Duration::from_secs(30);
const MINUTE_NANOS: u64 = 60_000_000_000;

/// How often sessions may ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests per minute of a session without a special role.
    pub requests_per_minute: u32,
    /// Factors by role; the best of a principal's roles counts.
    pub role_multiplier: Vec<(RoleName, f64)>,
}

/// One rate: a request every `interval`, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    interval_nanos: u64,
    burst_nanos: u64,
}

impl Rate {
    /// The rate of so many requests a minute; less than one in 24 hours counts as that.
    fn per_minute(requests: f64) -> Self {
        const DAY_NANOS: f64 = 86_400_000_000_000.0;
        let nanos = (60_000_000_000.0 / requests).clamp(1.0, DAY_NANOS);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a day of nanoseconds, by the clamp above"
        )]
        let interval_nanos = if nanos.is_nan() {
            MINUTE_NANOS
        } else {
            nanos.ceil() as u64
        };
        let burst_nanos = u64::try_from(BURST.as_nanos()).unwrap_or(u64::MAX);
        let bursts = (burst_nanos / interval_nanos).max(1);
        Self {
            interval_nanos,
            burst_nanos: bursts.saturating_mul(interval_nanos),
        }
    }
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admitted {
        /// How many more would be admitted at this moment.
        remaining: u64,
    },
    /// Too fast.
    Limited {
        /// After exactly this time the next request is admitted.
        retry_after: Duration,
    },
}

type SessionKey = (TenantId, SessionId);
/// When a session's requests so far will all have been paid for, in nanoseconds since the epoch.
type Shard = Mutex<HashMap<SessionKey, u64>>;

/// The rate limit of all sessions: GCRA, the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug)]
pub struct RateLimit {
    usual: Rate,
    by_role: Vec<(RoleName, f64, Rate)>,
    hasher: RandomState,
    shards: Arc<[Shard]>,
    shard_max: usize,
}

impl RateLimit {
    /// A limit under which nobody has asked yet.
    pub fn new(settings: &Settings) -> Self {
        Self::with_capacity(settings, SESSIONS_MAX)
    }

    /// Other rates for the same sessions: what they have used stays used.
    pub fn with_settings(&self, settings: &Settings) -> Self {
        let (usual, by_role) = rates(settings);
        Self {
            usual,
            by_role,
            hasher: self.hasher.clone(),
            shards: Arc::clone(&self.shards),
            shard_max: self.shard_max,
        }
    }

    fn with_capacity(settings: &Settings, sessions_max: usize) -> Self {
        let (usual, by_role) = rates(settings);
        Self {
            usual,
            by_role,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            shard_max: (sessions_max / SHARDS).max(1),
        }
    }

    /// Counts a request, if it is admitted.
    pub fn admit(&self, principal: &Principal, now: Timestamp) -> Admission {
        let rate = self.rate_of(principal);
        let key = (principal.tenant, principal.session.clone());
        let now = u64::try_from(now.unix_micros())
            .unwrap_or(0)
            .saturating_mul(1_000);
        let Some(shard) = self.shard_of(&key) else {
            return Admission::Admitted { remaining: 0 };
        };
        let mut sessions = shard.lock();
        let latest = now.saturating_add(rate.burst_nanos);
        let known = sessions.get(&key).copied().unwrap_or(0);
        let paid_until = known.clamp(now, latest);
        let next = paid_until.saturating_add(rate.interval_nanos);
        if next > latest {
            if known > latest {
                // The clock was set back. From here on the debt shrinks with it.
                sessions.insert(key, latest);
            }
            let retry_after = Duration::from_nanos(next - latest);
            return Admission::Limited { retry_after };
        }
        if sessions.len() >= self.shard_max && !sessions.contains_key(&key) {
            forget_some(&mut sessions, now);
        }
        sessions.insert(key, next);
        let remaining = (latest - next) / rate.interval_nanos;
        Admission::Admitted { remaining }
    }

    /// The most requests that the principal may have in the burst, for `ratelimit` headers.
    pub fn burst(&self, principal: &Principal) -> u64 {
        let rate = self.rate_of(principal);
        rate.burst_nanos / rate.interval_nanos
    }

    fn rate_of(&self, principal: &Principal) -> Rate {
        let of_principal = self
            .by_role
            .iter()
            .filter(|(role, _, _)| principal.roles.contains(role));
        let best = of_principal.max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(self.usual, |(_, _, rate)| *rate)
    }

    fn shard_of(&self, key: &SessionKey) -> Option<&Shard> {
        let hash = self.hasher.hash_one(key);
        let shards = u64::try_from(self.shards.len()).ok()?;
        self.shards.get(usize::try_from(hash.checked_rem(shards)?).ok()?)
    }
}

/// The usual rate, and that of each role with its factor.
fn rates(settings: &Settings) -> (Rate, Vec<(RoleName, f64, Rate)>) {
    let requests = f64::from(settings.requests_per_minute);
    let by_role = settings.role_multiplier.iter();
    let by_role = by_role.map(|(role, factor)| (role.clone(), *factor, Rate::per_minute(requests * factor)));
    (Rate::per_minute(requests), by_role.collect())
}

/// Makes room: forgets sessions that have their whole burst again, and if those are few, the
/// eighth that is nearest to it, so that a full map is searched once in many insertions.
fn forget_some(sessions: &mut HashMap<SessionKey, u64>, now: u64) {
    let before = sessions.len();
    sessions.retain(|_, paid_until| *paid_until > now);
    let wanted = (before / 8).max(1);
    if before - sessions.len() >= wanted {
        return;
    }
    let mut values: Vec<u64> = sessions.values().copied().collect();
    let last = wanted.min(values.len()).saturating_sub(1);
    if values.is_empty() {
        return;
    }
    let (_, limit, _) = values.select_nth_unstable(last);
    let limit = *limit;
    let mut left = wanted;
    sessions.retain(|_, paid_until| {
        let goes = *paid_until <= limit && left > 0;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests;
