use super::*;
use crate::types::clock::Timestamp;

/// A clock that stands until it is moved.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

const SETTINGS: Settings = Settings {
    gate: gate::Settings {
        max_concurrent: 2,
        queue: 1,
    },
    queue_timeout: Duration::from_millis(20),
    breaker: breaker::Settings {
        failures: 2,
        failure_percent: 50,
        window: Duration::from_secs(10),
        open_for: Duration::from_secs(5),
        open_for_max: Duration::from_secs(60),
    },
    retries: budget::Settings {
        percent: 0,
        per_second: 1,
    },
    rest_max: Duration::from_secs(30),
};

struct Bench {
    hands: Arc<Hands>,
    guards: Guards,
    guard: Arc<Guard>,
    model: ModelName,
}

impl Bench {
    fn new() -> Self {
        let start = Timestamp::from_unix_micros(1_795_262_400_000_000);
        let hands = Arc::new(Hands(Mutex::new(start)));
        let guards = Guards::new(Arc::clone(&hands) as Arc<dyn Clock>);
        let guard = guards.of(&UpstreamName::from("a"), SETTINGS);
        Self {
            hands,
            guards,
            guard,
            model: ModelName::from("m"),
        }
    }

    fn pass(&self, seconds: u64) {
        let mut now = self.hands.0.lock();
        *now = now.plus(Duration::from_secs(seconds));
    }

    async fn enter(&self, attempt: Attempt) -> Result<Ticket, Skip> {
        self.guard.enter(&self.model, attempt).await
    }

    async fn end(&self, verdict: Verdict) -> bool {
        self.enter(Attempt::First)
            .await
            .expect("it may be asked")
            .settle(verdict)
    }
}

#[tokio::test]
async fn failures_keep_requests_away_until_a_probe_is_answered() {
    let bench = Bench::new();
    assert!(!bench.end(Verdict::Bad).await);
    assert!(bench.end(Verdict::Bad).await, "the second one opens it");
    let wait = Duration::from_secs(5);
    assert_eq!(
        bench.enter(Attempt::First).await.unwrap_err(),
        Skip::Broken { wait }
    );
    bench.pass(5);
    let mut probe = bench.enter(Attempt::First).await.unwrap();
    assert!(bench.enter(Attempt::First).await.is_err(), "one probe at a time");
    probe.settle(Verdict::Good);
    assert!(bench.enter(Attempt::First).await.is_ok());
}

#[tokio::test]
async fn a_ticket_that_is_dropped_gives_everything_back() {
    let bench = Bench::new();
    bench.end(Verdict::Bad).await;
    bench.end(Verdict::Bad).await;
    bench.pass(5);
    drop(bench.enter(Attempt::First).await.unwrap());
    assert_eq!(bench.guard.reading().inside, 0);
    assert!(bench.enter(Attempt::First).await.is_ok(), "the next probe may go");
}

#[tokio::test]
async fn only_the_first_word_about_a_request_counts() {
    let bench = Bench::new();
    let mut ticket = bench.enter(Attempt::First).await.unwrap();
    ticket.settle(Verdict::Good);
    ticket.settle(Verdict::Bad);
    ticket.settle(Verdict::Bad);
    assert_eq!(bench.guard.reading().breaker, Shown::Closed);
}

#[tokio::test]
async fn an_upstream_that_asked_for_rest_is_left_alone_model_by_model() {
    let bench = Bench::new();
    bench.guard.rest(&bench.model, Cause::RateLimited, "7");
    let skip = bench.enter(Attempt::First).await.unwrap_err();
    let wait = Duration::from_secs(7);
    let cause = Cause::RateLimited;
    assert_eq!(skip, Skip::Resting { wait, cause });
    assert_eq!(skip.retry_after(), wait);
    let other = ModelName::from("other");
    assert!(bench.guard.enter(&other, Attempt::First).await.is_ok());
    bench.pass(7);
    assert!(bench.enter(Attempt::First).await.is_ok());
}

#[tokio::test]
async fn rest_is_bounded_and_nonsense_is_none() {
    let bench = Bench::new();
    bench.guard.rest(&bench.model, Cause::Overloaded, "86400");
    let skip = bench.enter(Attempt::First).await.unwrap_err();
    assert_eq!(skip.retry_after(), SETTINGS.rest_max);
    bench.pass(30);
    bench.guard.rest(&bench.model, Cause::Overloaded, "soon");
    assert!(bench.enter(Attempt::First).await.is_ok());
}

#[tokio::test]
async fn places_and_the_queue_are_bounded() {
    let bench = Bench::new();
    let first = bench.enter(Attempt::First).await.unwrap();
    let second = bench.enter(Attempt::First).await.unwrap();
    assert_eq!(bench.enter(Attempt::First).await.unwrap_err(), Skip::QueueTimeout);
    let (third, fourth) = tokio::join!(
        async {
            let waiting = bench.enter(Attempt::First);
            waiting.await
        },
        async {
            let full = bench.enter(Attempt::First).await;
            drop(first);
            full
        }
    );
    assert!(third.is_ok(), "a place became free in time: {third:?}");
    assert_eq!(fourth.unwrap_err(), Skip::QueueFull);
    drop(second);
}

#[tokio::test]
async fn retries_are_bounded_and_first_attempts_are_not() {
    let bench = Bench::new();
    let mut retries = 0;
    while bench.enter(Attempt::Retry).await.is_ok() {
        retries += 1;
    }
    assert_eq!(retries, 10);
    assert_eq!(bench.enter(Attempt::Retry).await.unwrap_err(), Skip::NoRetries);
    assert!(bench.enter(Attempt::First).await.is_ok());
}

#[tokio::test]
async fn the_state_outlives_a_configuration() {
    let bench = Bench::new();
    bench.end(Verdict::Bad).await;
    bench.end(Verdict::Bad).await;
    let settings = Settings {
        gate: gate::Settings {
            max_concurrent: 1,
            queue: 0,
        },
        ..SETTINGS
    };
    let again = bench.guards.of(&UpstreamName::from("a"), settings);
    assert_eq!(again.reading().breaker, Shown::Open);
    let other = bench.guards.of(&UpstreamName::from("b"), settings);
    assert_eq!(other.reading().breaker, Shown::Closed);
    bench.pass(5);
    let _only = again.enter(&bench.model, Attempt::First).await.unwrap();
    assert_eq!(bench.guards.readings().len(), 2);
}
