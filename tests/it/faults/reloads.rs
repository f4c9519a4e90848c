//! Another configuration, or another certificate, again and again while clients ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::ClientConfig;
use tokio::task::JoinSet;

use crate::faults::toll::{Ledger, Toll, is_well, print_row};
use crate::reload::{generation, kept};
use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection, GATEWAY_NAME};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{rows, text};
use crate::support::setup::Setup;
use crate::support::tls::{Authority, Pair};
use crate::support::wait::until;

/// Reloads that the storm asks for.
const STORM: usize = 60;

/// Certificates that are put in place; every third one's key is missing at first.
const CERTIFICATES: usize = 30;

/// Clients that ask all the time while it lasts.
const CLIENTS: usize = 8;

/// How clients connect.
#[derive(Clone)]
struct Way {
    address: std::net::SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Way {
    fn of(gateway: &Gateway) -> Self {
        Self {
            address: gateway.address,
            tls: gateway.tls.clone(),
        }
    }

    async fn connect(&self) -> Connection {
        match &self.tls {
            None => Connection::open(self.address).await,
            Some(config) => {
                let opened = Connection::open_tls(self.address, Arc::clone(config)).await;
                opened.unwrap_or_else(|error| panic!("a handshake was refused: {error}"))
            }
        }
    }
}

/// Clients that ask all the time; half of them for streams, and half of those and of the others on a new
/// connection each time.
struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: JoinSet<Toll>,
}

impl Load {
    fn start(gateway: &Gateway, key: &str) -> Self {
        let mut load = Self {
            over: Arc::new(AtomicBool::new(false)),
            served: Arc::new(AtomicUsize::new(0)),
            clients: JoinSet::new(),
        };
        for client in 0..CLIENTS {
            let (over, served) = (load.over.clone(), load.served.clone());
            let way = Way::of(gateway);
            let call = match client % 2 {
                0 => Call::messages(key, &ask("hello")),
                _ => Call::messages(key, &ask_stream("hello")),
            };
            load.clients.spawn(async move {
                let mut connection = way.connect().await;
                let mut toll = Toll::default();
                while !over.load(Ordering::SeqCst) {
                    if client % 4 < 2 {
                        connection = way.connect().await;
                    }
                    let answer = connection.call(&call).await;
                    toll.note(answer.status, true);
                    served.fetch_add(1, Ordering::SeqCst);
                }
                toll
            });
        }
        load
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// Ends the clients; what they saw.
    async fn end(mut self) -> Toll {
        self.over.store(true, Ordering::SeqCst);
        let mut toll = Toll::default();
        while let Some(client) = self.clients.join_next().await {
            toll.add(&client.unwrap());
        }
        toll
    }
}

/// All were served, each once upstream, recorded and paid for; the same process serves on. Prints the row.
async fn assert_unharmed(
    mut gateway: Gateway,
    key: &str,
    fault: &str,
    toll: &Toll,
    upstream: usize,
    after: &str,
) {
    assert_eq!(
        (toll.refusals(), toll.broken),
        (0, 0),
        "{fault}: nothing is refused: {toll:?}"
    );
    assert_eq!(upstream, toll.served, "{fault}: one request upstream for each");
    let ledger = Ledger::settled(&gateway, toll.served).await;
    assert_eq!(ledger.of("complete"), toll.served, "{fault}: {ledger:?}");
    assert_eq!(
        (ledger.count(), ledger.billed),
        (toll.served, toll.served),
        "{fault}: {ledger:?}"
    );
    is_well(&mut gateway, key).await;
    print_row(fault, toll, &ledger, after);
}

/// Each generation must have sent every one of its requests to one and the same upstream.
fn assert_unmixed(gateway: &Gateway) {
    let mut upstream_of = BTreeMap::new();
    for row in rows(
        gateway,
        "SELECT DISTINCT config_generation, upstream FROM ai_requests",
    ) {
        let generation = row["config_generation"].as_i64().unwrap();
        let upstream = text(&row, "upstream").to_owned();
        let first = upstream_of.insert(generation, upstream);
        assert_eq!(first, None, "generation {generation} went to two upstreams");
    }
    assert!(upstream_of.len() > STORM / 4, "{upstream_of:?}");
}

/// Reloads as fast as they can be asked for, each other one to another upstream and every third one
/// broken, while clients ask: each request is served by one configuration, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reloads_under_load_loses_nothing_and_mixes_nothing() {
    let odd = anthropic_sim::start().await;
    let even = anthropic_sim::start().await;
    let setup = Setup::anthropic(&odd).upstream("other", "anthropic", &even.url());
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let config = gateway.home.read("tollgate.toml");
    let [to_sim, to_other] = ["sim", "other"]
        .map(|name| config.replace("upstreams = [\"sim\"]", &format!("upstreams = [\"{name}\"]")));
    assert_ne!(to_sim, to_other);
    let load = Load::start(&gateway, &key);
    let (mut applied, mut refused) = (1.0, 0.0);
    for round in 0..STORM {
        let next = [&to_other, &to_sim][round % 2];
        if round % 3 == 2 {
            gateway
                .home
                .replace("tollgate.toml", &format!("{next}\n[nonsense]\n"));
            gateway.signal("HUP");
            refused += 1.0;
            kept(&gateway, refused).await;
        } else {
            gateway.home.replace("tollgate.toml", next);
            gateway.signal("HUP");
            applied += 1.0;
            generation(&gateway, applied).await;
        }
    }
    let during = load.served();
    let toll = load.end().await;
    assert!(
        during >= STORM,
        "the storm was blown under load: {during} requests"
    );
    let upstream = odd.count() + even.count();
    let ledger = Ledger::settled(&gateway, toll.served).await;
    assert_eq!(ledger.count(), toll.served);
    assert_unmixed(&gateway);
    let fault = format!("reload storm under load ({STORM} reloads, each third one broken)");
    let after = "complete; each request served by one configuration, whole";
    assert_unharmed(gateway, &key, &fault, &toll, upstream, after).await;
}

/// A gateway with TLS, and the authority of its certificates.
struct Secured {
    gateway: Gateway,
    authority: Authority,
}

impl Secured {
    /// The certificate that a new handshake shows: of a client that has no session to resume.
    async fn shown(&self) -> Vec<u8> {
        let stranger = self.authority.trusting_client(&["http/1.1"], None);
        let connection = Connection::open_tls(self.gateway.address, stranger).await;
        let connection = connection.unwrap_or_else(|error| panic!("a handshake was refused: {error}"));
        connection.server_certificate().expect("a handshake shows one")
    }

    fn complaints(&self) -> usize {
        let kept = "the listener's certificate stays as it was";
        self.gateway.log().matches(kept).count()
    }

    /// Puts a pair in place; first its certificate alone, without its key, where `is_torn`.
    async fn swap(&self, old: &Pair, new: &Pair, is_torn: bool) {
        let (home, new_der) = (&self.gateway.home, new.der().to_vec());
        home.replace("tls.crt", &new.certificate);
        if is_torn {
            let before = self.complaints();
            self.gateway.signal("HUP");
            until("a complaint about half a pair", async || {
                (self.complaints() > before).then_some(())
            })
            .await;
            assert_eq!(self.shown().await, old.der().to_vec(), "half a pair is not used");
        }
        home.replace("tls.key", &new.key);
        self.gateway.signal("HUP");
        until("the new certificate", async || {
            (self.shown().await == new_der).then_some(())
        })
        .await;
        for _ in 0..3 {
            assert_eq!(self.shown().await, new_der, "every new handshake shows it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_swapped_under_load_refuse_nobody() {
    let authority = Authority::new("listener");
    let sim = anthropic_sim::start().await;
    let mut pair = authority.server(&[GATEWAY_NAME]);
    let mut gateway = Setup::anthropic(&sim).tls(&pair, "").start().await;
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], None));
    let secured = Secured { gateway, authority };
    let key = secured.gateway.any_key().await;
    let load = Load::start(&secured.gateway, &key);
    for round in 0..CERTIFICATES {
        let next = secured.authority.server(&[GATEWAY_NAME]);
        secured.swap(&pair, &next, round % 3 == 2).await;
        pair = next;
    }
    let during = load.served();
    let toll = load.end().await;
    assert!(during >= CERTIFICATES, "under load: {during} requests");
    let fault = format!("certificate swapped under load ({CERTIFICATES} times, each third time torn first)");
    let after = "complete; every new handshake shows the new certificate";
    assert_unharmed(secured.gateway, &key, &fault, &toll, sim.count(), after).await;
}
