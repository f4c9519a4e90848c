//! The ledger as requests write it: the journal, and the store as well where that is waited for.
//!
//! The store is never asked anything here: somebody else ships the journal's leaves and says how far he is.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::journal::error::AppendError;
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::leaf::denial::Denial;
use crate::journal::leaf::open::Open;
use crate::journal::reservation::Reservation;
use crate::journal::{Journal, Sequence};
use crate::pipeline::refusal::Kind;

/// How a request is closed that was opened and then refused, because the store did not take its record.
const UNSTORED_STATUS: u16 = 503;

/// How far the store is, as whoever ships leaves says.
#[derive(Clone, Debug)]
pub struct InStore {
    /// All leaves below this place are in the store.
    pub shipped: watch::Receiver<u64>,
    /// Whether the store took nothing when it was last tried.
    pub failing: watch::Receiver<bool>,
    /// How long a record may be on its way into the store.
    pub within: Duration,
}

/// Why a record was not written. The request must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Unrecorded {
    /// The journal refuses or fails.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The journal has it, or would have, and the store did not take it in time.
    #[error("the store did not take the record within {} ms (ledger.store_timeout)", .within.as_millis())]
    Store {
        /// How long it was given.
        within: Duration,
    },
}

impl Unrecorded {
    /// What a client may read; the answer is 503 in every case.
    pub const fn client_text(&self) -> &'static str {
        match self {
            Self::Journal(error) => error.client_text(),
            Self::Store { .. } => {
                "The audit store does not take records, so no request can be accepted now. An operator must restore it."
            }
        }
    }
}

/// Where requests are written down.
#[derive(Debug)]
pub struct Ledger {
    journal: Arc<Journal>,
    in_store: Option<InStore>,
}

impl Ledger {
    /// A ledger in which a record is written once the journal has it, or, with `in_store`, the store too.
    pub const fn new(journal: Arc<Journal>, in_store: Option<InStore>) -> Self {
        Self { journal, in_store }
    }

    /// The first station of every record.
    pub const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Writes down that a request is permitted, and waits until that is safe.
    ///
    /// # Errors
    /// [`Unrecorded`]. Where the journal had it already, the request is closed as refused.
    pub async fn open(&self, open: &Open) -> Result<Reservation, Unrecorded> {
        let Some(store) = &self.in_store else {
            return Ok(self.journal.open_request(open).await?);
        };
        let wait = Wait::begin(store);
        wait.until_store_takes().await?;
        let reservation = self.journal.open_request(open).await?;
        match wait.until_stored(reservation.opened()).await {
            Ok(()) => Ok(reservation),
            Err(late) => {
                let close = Close {
                    status: Some(UNSTORED_STATUS),
                    error_kind: Some(Kind::AuditUnavailable.as_str().into()),
                    ..reservation.ending(Outcome::Error)
                };
                reservation.close(close);
                Err(late)
            }
        }
    }

    /// Writes down that a request is declined, and waits until that is safe.
    ///
    /// # Errors
    /// [`Unrecorded`]
    pub async fn deny(&self, denial: &Denial) -> Result<(), Unrecorded> {
        let Some(store) = &self.in_store else {
            self.journal.append_denial(denial).await?;
            return Ok(());
        };
        let wait = Wait::begin(store);
        wait.until_store_takes().await?;
        let place = self.journal.append_denial(denial).await?;
        wait.until_stored(place).await
    }
}

/// One record on its way into the store.
struct Wait<'a> {
    store: &'a InStore,
    deadline: Instant,
}

impl<'a> Wait<'a> {
    fn begin(store: &'a InStore) -> Self {
        Self {
            store,
            deadline: Instant::now() + store.within,
        }
    }

    /// Waits for a store that is known to fail, so that requests that cannot go on fill no journal.
    async fn until_store_takes(&self) -> Result<(), Unrecorded> {
        if !*self.store.failing.borrow() {
            return Ok(());
        }
        let mut failing = self.store.failing.clone();
        self.in_time(failing.wait_for(|failing| !failing)).await
    }

    async fn until_stored(&self, place: Sequence) -> Result<(), Unrecorded> {
        let mut shipped = self.store.shipped.clone();
        self.in_time(shipped.wait_for(|shipped| *shipped > place.0)).await
    }

    /// A shipper that is gone ships nothing any more, which is as good as a store that takes nothing.
    async fn in_time<T>(
        &self,
        change: impl Future<Output = Result<T, watch::error::RecvError>>,
    ) -> Result<(), Unrecorded> {
        match timeout_at(self.deadline, change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unrecorded::Store {
                within: self.store.within,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixture::{self, House};

    struct Site {
        house: House,
        ledger: Ledger,
        shipped: watch::Sender<u64>,
        failing: watch::Sender<bool>,
    }

    fn site() -> Site {
        let house = House::new();
        let (journal, _) = house.open();
        let (shipped, failing) = (watch::Sender::new(0), watch::Sender::new(false));
        let in_store = InStore {
            shipped: shipped.subscribe(),
            failing: failing.subscribe(),
            within: Duration::from_millis(50),
        };
        let ledger = Ledger::new(Arc::new(journal), Some(in_store));
        Site {
            house,
            ledger,
            shipped,
            failing,
        }
    }

    fn is_late<T>(result: &Result<T, Unrecorded>) -> bool {
        matches!(result, Err(Unrecorded::Store { .. }))
    }

    #[tokio::test]
    async fn a_record_counts_once_the_store_has_it_and_not_one_leaf_earlier() {
        let site = site();
        let first = site.ledger.journal().status().leaves;
        site.shipped.send_replace(first);
        assert!(is_late(&site.ledger.open(&fixture::open(1)).await));
        assert!(is_late(&site.ledger.deny(&fixture::denial(2)).await));
        let mut stored = site.ledger.journal().stored();
        let ship = async {
            while stored.changed().await.is_ok() {
                site.shipped.send_replace(*stored.borrow_and_update());
            }
        };
        let open = fixture::open(3);
        let opened = tokio::select! {
            opened = site.ledger.open(&open) => opened,
            () = ship => unreachable!("the journal lives on"),
        };
        assert!(opened.unwrap().opened() > Sequence(first));
        assert_eq!(
            site.ledger.journal().status().reservations,
            0,
            "none is left open"
        );
    }

    #[tokio::test]
    async fn a_store_that_is_known_to_fail_costs_the_journal_nothing() {
        let site = site();
        site.failing.send_replace(true);
        let before = site.ledger.journal().status().leaves;
        assert!(is_late(&site.ledger.open(&fixture::open(1)).await));
        assert!(is_late(&site.ledger.deny(&fixture::denial(2)).await));
        assert_eq!(site.ledger.journal().status().leaves, before);
        site.shipped.send_replace(u64::MAX);
        let denial = fixture::denial(3);
        let (denied, ()) = tokio::join!(site.ledger.deny(&denial), async {
            tokio::task::yield_now().await;
            site.failing.send_replace(false);
        });
        denied.unwrap();
        drop(site.house);
    }
}
