//! One fetch for all, renewed ahead, remembered failures.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use http::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::*;
use crate::provider::authorize::Unsigned;

/// A clock that a test sets, in seconds.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Hands {
    fn at(&self, second: i64) {
        self.0.store(second, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst) * 1_000_000)
    }
}

/// The number of the fetch that it came from.
#[derive(Debug)]
struct Numbered(u32);

impl Lease for Numbered {
    fn sign(&self, _: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Unauthorized> {
        Ok(vec![(HeaderName::from_static("n"), HeaderValue::from(self.0))])
    }
}

/// Lends for a thousand seconds, when the test lets it, and fails while it is told to.
#[derive(Clone, Debug)]
struct Bank {
    fetches: Arc<AtomicU32>,
    open: Arc<Semaphore>,
    fails: Arc<AtomicU32>,
    now: Arc<AtomicI64>,
}

#[async_trait]
impl Source for Bank {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        self.open.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::SeqCst) == 1 {
            return Err(Unauthorized(format!("no {number}")));
        }
        assert_ne!(self.fails.load(Ordering::SeqCst), 2, "the bank breaks");
        Ok(Lent {
            lease: Arc::new(Numbered(number)),
            ends: Timestamp::from_unix_micros((self.now.load(Ordering::SeqCst) + 1_000) * 1_000_000),
        })
    }

    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }
}

struct Case {
    leases: Arc<Leases>,
    hands: Hands,
    bank: Bank,
}

fn case(doors: usize) -> Case {
    let hands = Hands::default();
    let bank = Bank {
        fetches: Arc::default(),
        open: Arc::new(Semaphore::new(doors)),
        fails: Arc::default(),
        now: Arc::clone(&hands.0),
    };
    let leases = Arc::new(Leases::new(bank.clone(), Arc::new(hands.clone())));
    Case { leases, hands, bank }
}

impl Case {
    async fn number(&self) -> Result<u32, String> {
        let lease = self.leases.lease().await.map_err(|error| error.0)?;
        Ok(number(&*lease))
    }

    fn fetches(&self) -> u32 {
        self.bank.fetches.load(Ordering::SeqCst)
    }

    fn fails(&self, how: u32) {
        self.bank.fails.store(how, Ordering::SeqCst);
    }

    /// Waits until no fetch is running.
    async fn settled(&self) {
        let mut changes = self.leases.0.shared.state.subscribe();
        changes.wait_for(|state| !state.fetching).await.unwrap();
    }
}

fn number(lease: &dyn Lease) -> u32 {
    let nothing = http::HeaderMap::new();
    let unsigned = Unsigned {
        authority: "",
        target: "",
        headers: &nothing,
        body: b"",
    };
    let proof = lease.sign(&unsigned).unwrap();
    proof[0].1.to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn fifty_who_wait_share_one_fetch_also_when_the_first_leaves() {
    let case = case(0);
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let leases = Arc::clone(&case.leases);
        waiting.spawn(async move { leases.lease().await.map(|lease| number(&*lease)) });
    }
    let first = case.leases.lease();
    tokio::select! {
        biased;
        _ = first => panic!("the bank is closed"),
        () = tokio::task::yield_now() => {}
    }
    case.bank.open.add_permits(50);
    while let Some(waited) = waiting.join_next().await {
        assert_eq!(waited.unwrap().unwrap(), 1);
    }
    assert_eq!(case.fetches(), 1);
}

#[tokio::test]
async fn the_old_one_serves_while_the_next_is_fetched_and_never_after_its_end() {
    let case = case(1);
    assert_eq!(case.number().await, Ok(1));
    case.hands.at(774);
    assert_eq!((case.number().await, case.fetches()), (Ok(1), 1), "not yet");
    case.hands.at(776);
    for _ in 0..3 {
        assert_eq!(case.number().await, Ok(1), "the next one is still on its way");
    }
    case.bank.open.add_permits(1);
    case.settled().await;
    assert_eq!((case.number().await, case.fetches()), (Ok(2), 2));
    case.hands.at(776 + 991);
    case.bank.open.add_permits(1);
    assert_eq!(case.number().await, Ok(3), "a spent one is not used");
}

#[tokio::test]
async fn a_failure_is_remembered_longer_each_time_and_a_good_one_outlives_it() {
    let case = case(100);
    case.fails(1);
    assert_eq!(case.number().await, Err("no 1".to_owned()));
    assert_eq!(case.number().await, Err("no 1".to_owned()), "nobody asks again");
    case.hands.at(1);
    assert_eq!(case.number().await, Err("no 2".to_owned()));
    case.hands.at(2);
    assert_eq!(case.number().await, Err("no 2".to_owned()), "twice as long");
    case.hands.at(3);
    case.fails(0);
    assert_eq!(case.number().await, Ok(3));
    case.fails(1);
    case.hands.at(3 + 800);
    assert_eq!(case.number().await, Ok(3));
    case.settled().await;
    assert_eq!((case.number().await, case.fetches()), (Ok(3), 4), "still good");
    case.hands.at(3 + 995);
    assert_eq!(case.number().await, Err("no 5".to_owned()), "and then not");
}

#[tokio::test]
async fn a_fetch_that_breaks_keeps_nobody_waiting() {
    let case = case(100);
    case.fails(2);
    assert!(case.number().await.is_err());
    case.fails(0);
    assert_eq!(case.number().await, Ok(2));
}

#[tokio::test]
async fn leases_outlive_a_configuration_and_not_the_last_one() {
    let (case, loans) = (case(100), Loans::default());
    let clock: Arc<dyn Clock> = Arc::new(case.hands.clone());
    let of = |settings: &[u8]| loans.of(Sha256::of(settings), case.bank.clone(), &clock);
    let before = of(b"one");
    assert_eq!(number(&*before.lease().await.unwrap()), 1);
    let after = of(b"one");
    drop(before);
    assert_eq!(number(&*after.lease().await.unwrap()), 1, "the same settings");
    assert_eq!(number(&*of(b"two").lease().await.unwrap()), 2, "other settings");
    drop(after);
    assert_eq!(number(&*of(b"one").lease().await.unwrap()), 3, "nobody kept them");
    assert_eq!(loans.0.lock().len(), 1, "what nobody keeps is forgotten");
}
