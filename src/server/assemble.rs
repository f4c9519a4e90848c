//! Puts the parts of a node together, in the order in which they need each other.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::file::Config;
use crate::config::mistake::Mistakes;
use crate::config::secret_source::{SecretMissing, SecretSource};
use crate::control;
use crate::control::admin::answer::Answer;
use crate::control::admin::command::{Command, KeyCommand, TenantCommand, UserCommand, UserRef};
use crate::control::admin::error::AdminError;
use crate::control::admin::peer::{Admitted, own_uid};
use crate::control::admin::service::{AdminService, Parts};
use crate::control::admin::socket::{AdminSocket, SocketError};
use crate::gateway::Gateway;
use crate::gateway::in_flight::InFlight;
use crate::jobs::coalesced;
use crate::jobs::shipper::Shipper;
use crate::journal::Journal;
use crate::journal::error::OpenError;
use crate::journal::origin::BadOrigin;
use crate::pipeline::coalesce::Coalescer;
use crate::pipeline::forward::Engine;
use crate::pipeline::identify::Authenticator;
use crate::pipeline::identify::signing::{SigningError, SigningKey};
use crate::pipeline::identify::token::TokenIssuer;
use crate::pipeline::identify::view::{IdentityView, RefreshError};
use crate::pipeline::inspect::memory::Memories;
use crate::pipeline::route::guard::Guards;
use crate::server::admin_ledger::JournalLedger;
use crate::server::listen::ListenError;
use crate::server::reload::{self, Reloader, Watched};
use crate::server::snapshot::{self, Lasting};
use crate::server::{ledger, readings};
use crate::store::{Store, StoreError};
use crate::telemetry::logs::Filter;
use crate::telemetry::metrics::Metrics;
use crate::tls::listener::ListenerTls;
use crate::tls::pem::BadMaterial;
use crate::types::clock::{Clock, SystemClock};
use crate::types::entropy::{Entropy, SystemEntropy};
use crate::types::secret::Secret;
use crate::vault::{self, Vault, VaultError};

/// Why a node cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use.
    #[error("{0}; stop what uses it, or choose another address")]
    Listen(#[from] ListenError),
    /// The data directory cannot be made.
    #[error("the data directory {path} cannot be made: {source}")]
    DataDirectory {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The key-encryption key cannot be had.
    #[error("vault.key: {0}")]
    Vault(#[from] VaultError),
    /// The key-encryption key's source is empty.
    #[error("vault.key: {0}")]
    VaultSource(#[from] SecretMissing),
    /// The store cannot be used.
    #[error("store: {}", reasons(.0))]
    Store(#[from] StoreError),
    /// The store's password cannot be had.
    #[error("store.password_secret: {0}")]
    StorePassword(SecretMissing),
    /// The journal cannot be used.
    #[error("ledger: {0}")]
    Journal(#[from] OpenError),
    /// The node's name cannot be used.
    #[error("server.node: {0}")]
    Node(BadOrigin),
    /// Signing keys cannot be had.
    #[error("signing key: {0}")]
    Signing(#[from] SigningError),
    /// Identities cannot be read.
    #[error("identities: {0}")]
    Identities(#[from] RefreshError),
    /// The configuration cannot be put to use.
    #[error("{0}")]
    Configuration(#[from] Mistakes),
    /// Metrics cannot be made.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Signals cannot be listened to.
    #[error("signals: {0}")]
    Signal(std::io::Error),
    /// The admin socket cannot be made.
    #[error("admin socket: {0}")]
    AdminSocket(#[from] SocketError),
    /// The system does not say who we are.
    #[error("own user id: {0}")]
    OwnUser(std::io::Error),
    /// TLS material of the listener cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] BadMaterial),
    /// A declared tenant cannot be made.
    #[error("tenant: {0}")]
    Tenant(String),
    /// The start could not be announced.
    #[error("standard output: {0}")]
    Announce(std::io::Error),
}

/// What every node needs, whether it serves or only administers.
pub struct Foundation {
    store: Arc<Store>,
    journal: Arc<Journal>,
    view: Arc<IdentityView>,
    admin: Arc<AdminService>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    fingerprint_root: Secret<[u8; 32]>,
    issuer: String,
}

impl Foundation {
    /// The admin service, for commands that found no node running.
    pub const fn admin(&self) -> &Arc<AdminService> {
        &self.admin
    }

    /// Ends the journal and the store, in this order.
    pub async fn close(self) {
        let Self { store, journal, .. } = self;
        journal.close().await;
        store.close().await;
    }
}

/// Opens the data directory: vault, store, journal, identities. The journal's lock is taken, so
/// there is at most one of these on a data directory.
///
/// # Errors
/// [`StartError`]
pub async fn foundation(
    config: &Config,
    first_address: Option<SocketAddr>,
) -> Result<Foundation, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    make_data_directory(&config.server.data_dir)?;
    let key = vault_key(config, &*entropy)?;
    let vault = Vault::new(&key, Arc::clone(&entropy))?;
    let fingerprint_root = vault::derive(&key, "secret fingerprints");
    let store = Arc::new(open_store(config).await?);
    let signing = SigningKey::newest_or_new(&store, &vault, &*entropy, clock.now()).await?;
    let journal = Arc::new(ledger::open_journal(config, &store, &clock, &entropy).await?);
    let max_staleness = config.identity.max_staleness.0;
    let view = Arc::new(IdentityView::load(Arc::clone(&store), Arc::clone(&clock), max_staleness).await?);
    let issuer = issuer(config, first_address);
    let tokens = TokenIssuer::new(&issuer, signing, Arc::clone(&clock), Arc::clone(&entropy));
    let admin = Arc::new(AdminService::new(Parts {
        store: Arc::clone(&store),
        ledger: Arc::new(JournalLedger::new(Arc::clone(&journal))),
        issuer: Some(Arc::new(tokens)),
        view: Some(Arc::clone(&view)),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    }));
    ensure_tenants(&admin, config).await?;
    Ok(Foundation {
        store,
        journal,
        view,
        admin,
        clock,
        entropy,
        fingerprint_root,
        issuer,
    })
}

/// Opens the store that is configured.
///
/// # Errors
/// [`StartError::Store`] and [`StartError::StorePassword`]; neither holds the password.
pub async fn open_store(config: &Config) -> Result<Store, StartError> {
    let name = config.store.password_secret.as_ref();
    let password = name
        .and_then(|name| config.secrets.get(name.get_ref()))
        .map(|source| source.read(&config.folder))
        .transpose()
        .map_err(StartError::StorePassword)?;
    Ok(Store::connect(config.store.url.get_ref(), password.as_ref()).await?)
}

/// An error with its causes, in one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn make_data_directory(path: &Path) -> Result<(), StartError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|source| StartError::DataDirectory {
        path: path.display().to_string(),
        source,
    })
}

fn vault_key(
    config: &Config,
    entropy: &dyn Entropy,
) -> Result<Secret<[u8; vault::key::KEY_BYTES]>, StartError> {
    match &config.vault.key {
        SecretSource::File(path) => Ok(vault::key::from_file(path, entropy)?),
        source @ (SecretSource::Env(_) | SecretSource::Credential(_)) => {
            let text = source.read(&config.folder)?;
            Ok(vault::key::from_text(text.expose().as_bytes())?)
        }
    }
}

/// The issuer of our tokens: the configured public address, or the first that is listened on.
fn issuer(config: &Config, first_address: Option<SocketAddr>) -> String {
    if !config.server.public_url.is_empty() {
        return config.server.public_url.trim_end_matches('/').to_owned();
    }
    let address = first_address.or_else(|| config.server.listen.first().copied());
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    address.map_or_else(
        || format!("{scheme}://localhost"),
        |address| format!("{scheme}://{address}"),
    )
}

/// Makes the declared tenants that are missing.
pub(super) async fn ensure_tenants(admin: &AdminService, config: &Config) -> Result<(), StartError> {
    for tenant in &config.tenants {
        let name = tenant.name.as_str().into();
        ensure(admin, Command::Tenant(TenantCommand::Create { name })).await?;
    }
    Ok(())
}

/// Carries out a command of ours; what is there already is fine.
async fn ensure(admin: &AdminService, command: Command) -> Result<(), StartError> {
    match admin
        .execute(own_uid().map_err(StartError::OwnUser)?, command)
        .await
    {
        Ok(_) | Err(AdminError::Conflict(_)) => Ok(()),
        Err(error) => Err(StartError::Tenant(error.to_string())),
    }
}

/// A running node.
pub struct Node {
    /// The data plane.
    pub gateway: Arc<Gateway>,
    foundation: Foundation,
    shipper: Arc<Shipper>,
    data_dir: PathBuf,
}

/// Puts a node together that is ready to be listened for.
///
/// # Errors
/// [`StartError`]
pub async fn node(
    config: &Config,
    first_address: Option<SocketAddr>,
    cut: watch::Receiver<bool>,
) -> Result<Node, StartError> {
    let metrics = Metrics::new()?;
    let guards = Guards::new(Arc::new(SystemClock));
    let lasting = Lasting {
        metrics: &metrics,
        guards: &guards,
    };
    let snapshot = snapshot::compile(config, 1, None, lasting)?;
    let foundation = foundation(config, first_address).await?;
    let authenticator = Authenticator::new(
        Arc::clone(&foundation.view),
        &foundation.issuer,
        Arc::clone(&foundation.clock),
    );
    let control_state = control::ControlState {
        view: Arc::clone(&foundation.view),
        clock: Arc::clone(&foundation.clock),
    };
    let shipper = Arc::new(ledger::shipper(
        &config.ledger,
        &foundation.journal,
        &foundation.store,
        &foundation.clock,
    ));
    let gateway = Gateway {
        snapshot: ArcSwap::from_pointee(snapshot),
        authenticator,
        ledger: ledger::ledger(&config.ledger, &foundation.journal, &shipper),
        engine: Engine::default(),
        control: control::router(control_state),
        metrics,
        guards,
        clock: Arc::clone(&foundation.clock),
        entropy: Arc::clone(&foundation.entropy),
        memories: Memories::new(foundation.fingerprint_root.clone()),
        coalescer: Arc::new(Coalescer::default()),
        cut,
        in_flight: InFlight::default(),
        admitted: InFlight::default(),
        connections: InFlight::default(),
    };
    let data_dir = config.server.data_dir.clone();
    Ok(Node {
        gateway: Arc::new(gateway),
        foundation,
        shipper,
        data_dir,
    })
}

impl Node {
    /// Starts the work in the background; it ends when `finishing` turns true.
    ///
    /// # Errors
    /// The admin socket cannot be made.
    pub fn background(&self, finishing: &watch::Receiver<bool>) -> Result<JoinSet<()>, StartError> {
        let mut work = JoinSet::new();
        let socket = AdminSocket::bind(
            &self.data_dir,
            Admitted::own_user_and_root().map_err(StartError::OwnUser)?,
        )?;
        work.spawn(socket.run(Arc::clone(&self.foundation.admin), finished(finishing)));
        let view = Arc::clone(&self.foundation.view);
        let until = finished(finishing);
        work.spawn(async move { view.run(until).await });
        let shipper = Arc::clone(&self.shipper);
        let until = finished(finishing);
        work.spawn(async move { shipper.run(until).await });
        let coalesced = coalesced::Job {
            coalescer: Arc::clone(&self.gateway.coalescer),
            journal: Arc::clone(&self.foundation.journal),
            clock: Arc::clone(&self.foundation.clock),
            entropy: Arc::clone(&self.foundation.entropy),
        };
        work.spawn(coalesced.run(finished(finishing)));
        Ok(work)
    }

    /// What reloads this node's configuration, which it was started with.
    pub fn reloader(&self, watched: Watched, tls: Option<Arc<ListenerTls>>, log: Option<Filter>) -> Reloader {
        let parts = reload::Parts {
            gateway: Arc::clone(&self.gateway),
            admin: Arc::clone(&self.foundation.admin),
            journal: Arc::clone(&self.foundation.journal),
            tls,
            log,
        };
        Reloader::new(parts, watched)
    }

    /// Whether the node can tell who asks, and goes on being able to.
    pub fn fitness(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let view = Arc::clone(&self.foundation.view);
        let clock = Arc::clone(&self.foundation.clock);
        Arc::new(move || view.is_sound(clock.now()))
    }

    /// Brings gauges up to date.
    pub fn gauges(&self) -> Arc<dyn Fn(&Metrics) + Send + Sync> {
        let journal = Arc::clone(&self.foundation.journal);
        let shipper = Arc::clone(&self.shipper);
        let view = Arc::clone(&self.foundation.view);
        let clock = Arc::clone(&self.foundation.clock);
        let gateway = Arc::clone(&self.gateway);
        let caught_up = readings::CaughtUp::at(clock.now());
        Arc::new(move |metrics| {
            let now = clock.now();
            let node = &metrics.node;
            node.journal(&readings::journal(&journal, &shipper, &caught_up, now));
            node.identity_age(view.age(now));
            node.process(&readings::process());
            let snapshot = gateway.snapshot.load();
            node.buffered(snapshot.intake.held_bytes());
            node.connections(gateway.connections.count());
            for (name, reading) in gateway.guards.readings() {
                metrics.upstream_shows(name.as_str(), readings::upstream(&reading));
            }
            node.configuration(snapshot.generation, &snapshot.policies.digest().to_string());
        })
    }

    /// A new key for the demo's one user, who is made if missing.
    ///
    /// # Errors
    /// The admin service refuses.
    pub async fn demo_key(&self) -> Result<Secret<String>, StartError> {
        let admin = &self.foundation.admin;
        let user = UserRef {
            tenant: Some("demo".into()),
            name: "demo@tollgate.test".into(),
        };
        let create = UserCommand::Create {
            user: user.clone(),
            roles: vec!["user".into()],
            teams: Vec::new(),
        };
        ensure(admin, Command::User(create)).await?;
        let command = KeyCommand::Create {
            user,
            name: "demo".to_owned(),
            expires_in_s: None,
        };
        match admin
            .execute(own_uid().map_err(StartError::OwnUser)?, Command::Key(command))
            .await
        {
            Ok(Answer::KeyCreated { key, .. }) => Ok(key),
            Ok(_) => Err(StartError::Tenant("the admin service gave no key".to_owned())),
            Err(error) => Err(StartError::Tenant(error.to_string())),
        }
    }

    /// Ends the node once its work has ended: what is left goes into the journal, all of that into the
    /// store, then the store is closed. Gives how many leaves the store does not have.
    pub async fn close(self) -> u64 {
        self.foundation.journal.close().await;
        self.shipper.finish().await;
        let unshipped = self.shipper.unshipped();
        self.foundation.close().await;
        unshipped
    }
}

/// Resolves when the channel says true, or its sender is gone.
pub(super) fn finished(finishing: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut finishing = finishing.clone();
    async move {
        let _ = finishing.wait_for(|finish| *finish).await;
    }
}
