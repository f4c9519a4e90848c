//! Hearing of changes that other replicas make (`LISTEN`, `migrations/postgres/0001_identity.sql`).
//!
//! An announcement may be missed, so whoever watches also polls: hearing only makes it quicker.

use std::future::pending;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::{sleep, timeout};

use crate::store::Store;
use crate::store::database::Database;

/// The channel that every change of identity rows is announced on.
const CHANNEL: &str = "tollgate_identity";

/// How long to wait before listening again, after the connection was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How long it may take to begin listening.
const LISTEN_DEADLINE: Duration = Duration::from_secs(10);

/// Hears announcements.
pub struct IdentityWatch {
    /// None in SQLite, which has no other replicas and announces nothing.
    pool: Option<PgPool>,
    listener: Option<PgListener>,
}

impl Store {
    /// Begins to watch at the first [`IdentityWatch::changed`].
    pub fn watch_identity(&self) -> IdentityWatch {
        let pool = match &self.database {
            Database::Sqlite(_) => None,
            Database::Postgres(pool) => Some(pool.clone()),
        };
        IdentityWatch { pool, listener: None }
    }
}

impl IdentityWatch {
    /// Resolves when identity rows may have changed: at an announcement, and whenever listening begins.
    pub async fn changed(&mut self) {
        let Some(pool) = &self.pool else {
            return pending().await;
        };
        loop {
            let Some(listener) = &mut self.listener else {
                match timeout(LISTEN_DEADLINE, listen(pool)).await {
                    Ok(Ok(listener)) => {
                        self.listener = Some(listener);
                        return;
                    }
                    // The polls say that the store is away.
                    Ok(Err(_)) | Err(_) => sleep(LISTEN_AGAIN).await,
                }
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(_)) => return,
                Ok(None) | Err(_) => self.listener = None,
            }
        }
    }
}

async fn listen(pool: &PgPool) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
