//! Reload: another configuration for the requests to come, whole or not at all.
//!
//! Input: SIGHUP, or a change of a file that the configuration is made from. Output: a new snapshot
//! in force, or the old one and the reasons in the log. Invariants: requests in flight keep the
//! snapshot that they began with; nothing is compiled on the path of a request; what cannot change
//! while the process runs is named and waits for a restart, and everything else is applied.
//!
//! - [`restart`]: which keys wait for a restart. `stamps`: whether files have changed.

pub mod restart;
mod stamps;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::config::Config;
use crate::config::mistake::Mistakes;
use crate::config::source::Source;
use crate::control::admin::service::AdminService;
use crate::gateway::Gateway;
use crate::gateway::snapshot::Snapshot;
use crate::journal::Journal;
use crate::journal::leaf::admin::{Actor, Admin};
use crate::journal::leaf::decision::{Json, Verdict};
use crate::server::snapshot::{self, Lasting};
use crate::server::{assemble, certificates, service};
use crate::telemetry::logs::Filter;
use crate::tls::listener::ListenerTls;

use self::stamps::Stamps;

/// How often files are looked at. Looking costs a `stat` a file, and works where notifications do
/// not: on network file systems, and when a link above the file is exchanged (Kubernetes).
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For how long files have to stay as they are before they are read.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

/// How often that is waited for; files that never rest are read as they are.
const SETTLING_MAX: usize = 25;

/// A configuration, where it was read from, and what its files looked like then.
pub struct Watched {
    source: Source,
    config: Config,
    files: Vec<PathBuf>,
    seen: Stamps,
}

impl Watched {
    /// Takes note of the files of a configuration that was just read from `source`; what changes
    /// after this is a change.
    pub fn new(source: Source, config: &Config) -> Self {
        let files = config.files();
        let seen = Stamps::of(&files);
        Self {
            source,
            config: config.clone(),
            files,
            seen,
        }
    }
}

/// What a reload works on.
pub struct Parts {
    /// What is governed.
    pub gateway: Arc<Gateway>,
    /// Makes tenants that are declared.
    pub admin: Arc<AdminService>,
    /// Where a new configuration is written down.
    pub journal: Arc<Journal>,
    /// What the log says; none where it is not ours.
    pub log: Option<Filter>,
    /// The listener's certificate, which SIGHUP reads again too; its files are watched elsewhere.
    pub tls: Option<Arc<ListenerTls>>,
}

/// Reloads the configuration of a running node.
pub struct Reloader {
    parts: Parts,
    source: Source,
    started_with: Config,
    watched: Vec<PathBuf>,
    seen: Stamps,
}

/// What made a reload happen.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Signal,
    Files,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Files => "a changed file",
        }
    }
}

/// A configuration that was read.
struct Read {
    /// Its files; those of the last one where it could not be understood.
    watched: Vec<PathBuf>,
    seen: Stamps,
    made: Result<(Config, Snapshot), Mistakes>,
}

impl Reloader {
    /// A reloader of the node that was started with this configuration.
    pub fn new(parts: Parts, watched: Watched) -> Self {
        Self {
            parts,
            source: watched.source,
            started_with: watched.config,
            watched: watched.files,
            seen: watched.seen,
        }
    }

    /// Reloads when that is wished and on changes of files, until `until` resolves.
    pub async fn run(mut self, until: impl Future<Output = ()>, wished: Arc<Notify>) {
        tokio::pin!(until);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let cause = tokio::select! {
                biased;
                () = &mut until => return,
                () = wished.notified() => Cause::Signal,
                _ = look.tick() => {
                    if !self.changed().await {
                        continue;
                    }
                    Cause::Files
                }
            };
            service::reloading();
            Box::pin(self.reload(cause)).await;
            let generation = self.parts.gateway.snapshot.load().generation;
            service::ready(&format!("serving configuration {generation}"));
        }
    }

    /// Whether a file has changed, and come to rest.
    async fn changed(&self) -> bool {
        let mut now = self.look().await;
        if now == self.seen {
            return false;
        }
        for _ in 0..SETTLING_MAX {
            sleep(SETTLED_AFTER).await;
            let later = self.look().await;
            if later == now {
                return later != self.seen;
            }
            now = later;
        }
        true
    }

    async fn look(&self) -> Stamps {
        let watched = self.watched.clone();
        let looked = tokio::task::spawn_blocking(move || Stamps::of(&watched)).await;
        looked.unwrap_or_else(|_| self.seen.clone())
    }

    async fn reload(&mut self, cause: Cause) {
        if let (Cause::Signal, Some(tls)) = (cause, &self.parts.tls) {
            certificates::reload(tls);
        }
        let before = self.parts.gateway.snapshot.load_full();
        let (source, watched) = (self.source.clone(), self.watched.clone());
        let old = Arc::clone(&before);
        let gateway = Arc::clone(&self.parts.gateway);
        let reading = tokio::task::spawn_blocking(move || read(&source, watched, &old, &gateway));
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => return self.keep(cause, before.generation, &error),
        };
        self.watched = read.watched;
        self.seen = read.seen;
        let (config, snapshot) = match read.made {
            Ok(made) => made,
            Err(mistakes) => return self.keep(cause, before.generation, &mistakes),
        };
        if let Err(error) = assemble::ensure_tenants(&self.parts.admin, &config).await {
            return self.keep(cause, before.generation, &error);
        }
        self.apply(cause, &config, snapshot).await;
    }

    /// Puts a snapshot in force, and says what of its configuration waits for a restart.
    async fn apply(&self, cause: Cause, config: &Config, snapshot: Snapshot) {
        let waiting = restart::waiting(&config.effective, &self.started_with.effective);
        let (generation, digest) = (snapshot.generation, snapshot.policies.digest());
        self.parts.gateway.snapshot.store(Arc::new(snapshot));
        snapshot::bear(config, &self.parts.gateway.guards);
        if let Some(log) = &self.parts.log
            && let Err(error) = log.set(&config.log.filter)
        {
            tracing::warn!(%error, "the log's filter stays as it was");
        }
        self.parts.gateway.metrics.node.reloaded(waiting.len());
        tracing::info!(cause = cause.as_str(), generation, policy = %digest, "configuration reloaded");
        if !waiting.is_empty() {
            tracing::warn!(
                keys = waiting.join(", "),
                generation,
                "these keys changed and need a restart; all others are in force"
            );
        }
        let detail = serde_json::json!({
            "generation": generation, "cause": cause.as_str(), "waits_for_restart": waiting,
        });
        let leaf = Admin {
            actor: Actor::default(),
            tenant: None,
            request: None,
            action: "configuration.reload".into(),
            resource: Some(config.file.to_string_lossy().into()),
            outcome: Verdict::Allow,
            reason: None,
            policy_digest: Some(digest),
            detail: Json::of(&detail).ok(),
        };
        if let Err(error) = self.parts.journal.append_admin(&leaf).await {
            tracing::warn!(%error, generation, "the reload could not be written down; its generation stands in every record");
        }
    }

    /// Keeps the snapshot in force and says why.
    fn keep(&self, cause: Cause, generation: u64, why: &dyn std::fmt::Display) {
        self.parts.gateway.metrics.node.not_reloaded();
        tracing::error!(
            cause = cause.as_str(),
            generation,
            "the configuration was not reloaded, the old one stays in force:\n{why}"
        );
    }
}

/// Reads and compiles what the files hold now. They are looked at before they are read: what
/// changes after that is another change.
fn read(source: &Source, watched: Vec<PathBuf>, before: &Snapshot, gateway: &Gateway) -> Read {
    let early = Stamps::of(&watched);
    let made = source.load().and_then(|config| {
        let emptied = source.file().is_some_and(|file| is_empty(&file));
        if emptied {
            // An editor or a full disk left nothing; defaults in its place would cut every route.
            return Err(Mistakes(vec![config.mistake(
                "",
                "the file is empty: write it again, or restart on the defaults",
            )]));
        }
        Ok(config)
    });
    let config = match made {
        Ok(config) => config,
        Err(mistakes) => {
            return Read {
                watched,
                seen: early,
                made: Err(mistakes),
            };
        }
    };
    let watched = config.files();
    let seen = Stamps::of(&watched).or_earlier(&early);
    let lasting = Lasting {
        metrics: &gateway.metrics,
        guards: &gateway.guards,
    };
    let snapshot = snapshot::compile(&config, before.generation + 1, Some(before), lasting);
    Read {
        watched,
        seen,
        made: snapshot.map(|snapshot| (config, snapshot)),
    }
}

fn is_empty(file: &std::path::Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.len() == 0)
}
