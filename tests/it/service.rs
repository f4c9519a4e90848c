//! Under a service manager: what it is told, and the sockets that it hands over.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection, GATEWAY_NAME};
use crate::support::gateway::{Gateway, Launch};
use crate::support::home::Home;
use crate::support::prompt::ask;
use crate::support::scrape::value;
use crate::support::setup::Setup;
use crate::support::tls::Authority;
use crate::support::wait::until;

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    heard: VecDeque<String>,
}

impl Manager {
    fn new(home: &Home, environment: &mut Vec<(String, String)>) -> Self {
        let path = home.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        environment.push(("NOTIFY_SOCKET".to_owned(), path.display().to_string()));
        Self {
            socket,
            heard: VecDeque::new(),
        }
    }

    /// Waits for a message with this line; what came before it is passed over.
    async fn hears(&mut self, line: &str) -> String {
        until(&format!("{line} from the gateway"), async || {
            let mut buffer = [0u8; 4096];
            while let Ok(bytes) = self.socket.recv(&mut buffer) {
                self.heard
                    .push_back(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
            }
            while let Some(message) = self.heard.pop_front() {
                if message.lines().any(|found| found == line) {
                    return Some(message);
                }
            }
            None
        })
        .await
    }

    /// Everything that was said so far, heard before or not, is forgotten; how often it was this line.
    fn forget(&mut self, line: &str) -> usize {
        let mut buffer = [0u8; 4096];
        while let Ok(bytes) = self.socket.recv(&mut buffer) {
            self.heard
                .push_back(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
        }
        let all: Vec<String> = self.heard.drain(..).collect();
        all.iter()
            .filter(|message| message.lines().any(|found| found == line))
            .count()
    }
}

#[tokio::test]
async fn the_manager_is_told_of_start_reload_life_and_end() {
    let sim = anthropic_sim::start().await;
    let (home, mut environment) = Setup::anthropic(&sim).write();
    let mut manager = Manager::new(&home, &mut environment);
    environment.push(("WATCHDOG_USEC".to_owned(), "2000000".to_owned()));
    let mut gateway = Gateway::start(home, environment).await;
    let ready = manager.hears("READY=1").await;
    assert!(ready.contains("STATUS=serving on 127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    gateway.signal("HUP");
    let reloading = manager.hears("RELOADING=1").await;
    let stamp = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="))
        .expect("a reload has a time");
    assert!(stamp.parse::<u64>().unwrap() > 0);
    let again = manager.hears("READY=1").await;
    assert!(again.contains("configuration 2"), "{again}");
    gateway.terminate();
    manager.hears("STOPPING=1").await;
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn sockets_are_taken_over_by_their_names() {
    // The test's socket comes as standard input; a second one is opened by nobody, so that the
    // configured address of the metrics stays in force.
    const SCRIPT: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public \
                          exec \"$0\" gateway --config \"$1\" 3<&0 </dev/null";
    const METRICS: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=metrics \
                           exec \"$0\" gateway --config \"$1\" 3<&0 </dev/null";
    let sim = anthropic_sim::start().await;
    for (script, public) in [(SCRIPT, true), (METRICS, false)] {
        let (home, environment) = Setup::anthropic(&sim).write();
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = socket.local_addr().unwrap();
        // Somebody who came before there was a gateway waits in the socket.
        let mut early = Connection::open(address).await;
        let gateway = Gateway::launch(Launch::Shell(script, socket), home, environment).await;
        assert_eq!(address == gateway.address, public);
        assert_eq!(address == gateway.metrics, !public);
        let key = gateway.any_key().await;
        let path = if public { "/" } else { "/healthz" };
        assert_eq!(early.call(&Call::new("GET", path)).await.status, 200);
        let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    const SCRIPT: &str = "LISTEN_PID=1 LISTEN_FDS=1 exec \"$0\" gateway --config \"$1\" 3<&0 </dev/null";
    let sim = anthropic_sim::start().await;
    let (home, environment) = Setup::anthropic(&sim).write();
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    let gateway = Gateway::launch(Launch::Shell(SCRIPT, socket), home, environment).await;
    assert_ne!(gateway.address, address);
}

/// How often the gateway says that it does not feed the watchdog.
fn complaints(gateway: &Gateway) -> usize {
    gateway.log().matches("the watchdog is not fed").count()
}

/// A gateway whose public socket the test holds, too, and its manager with half a second of patience.
async fn watched(setup: Setup) -> (Gateway, Manager, Arc<TcpListener>) {
    const SCRIPT: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public \
                          exec \"$0\" gateway --config \"$1\" 3<&0 </dev/null";
    let (home, mut environment) = setup.write();
    let mut manager = Manager::new(&home, &mut environment);
    environment.push(("WATCHDOG_USEC".to_owned(), "500000".to_owned()));
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let gateway = Gateway::launch(Launch::Shell(SCRIPT, socket.clone()), home, environment).await;
    manager.hears("READY=1").await;
    (gateway, manager, socket)
}

/// What a server of TLS needs that wants to know its clients.
fn strict_tls(setup: Setup) -> Setup {
    let (authority, clients) = (Authority::new("listener"), Authority::new("clients"));
    setup
        .tls(
            &authority.server(&[GATEWAY_NAME]),
            ", client_ca = \"clients.pem\", client_certificate = \"required\"",
        )
        .file("clients.pem", &clients.pem())
}

/// The process lives, its journal writes, `/healthz` answers, and nobody can connect any more: the
/// socket stopped listening. That is no sign of life.
async fn check_a_dead_listener_starves_the_watchdog(setup: Setup) {
    let (mut gateway, mut manager, socket) = watched(setup).await;
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    assert_eq!(complaints(&gateway), 0, "{}", gateway.log());
    let socket = TcpStream::from(OwnedFd::from(socket.try_clone().unwrap()));
    socket.shutdown(Shutdown::Both).unwrap();
    assert!(TcpStream::connect(gateway.address).is_err(), "nobody listens");
    until("a complaint", async || (complaints(&gateway) >= 1).then_some(())).await;
    manager.forget("WATCHDOG=1");
    until("further complaints", async || {
        (complaints(&gateway) >= 5).then_some(())
    })
    .await;
    assert_eq!(manager.forget("WATCHDOG=1"), 0, "{}", gateway.log());
    assert!(gateway.is_running());
    let health = Connection::open(gateway.metrics)
        .await
        .call(&Call::new("GET", "/healthz"))
        .await;
    assert_eq!(health.status, 200, "all else is well");
}

#[tokio::test]
async fn a_listener_that_is_dead_starves_the_watchdog() {
    let sim = anthropic_sim::start().await;
    check_a_dead_listener_starves_the_watchdog(Setup::anthropic(&sim)).await;
    check_a_dead_listener_starves_the_watchdog(strict_tls(Setup::anthropic(&sim))).await;
}

#[tokio::test]
async fn the_watchdog_is_fed_behind_proxies_and_while_connections_are_turned_away() {
    let sim = anthropic_sim::start().await;
    for tls in [false, true] {
        let setup = Setup::anthropic(&sim)
            .set("server", "trusted_proxies", "[\"127.0.0.0/8\"]")
            .set("server", "proxy_protocol", "true");
        let setup = if tls { strict_tls(setup) } else { setup };
        let (gateway, mut manager, _socket) = watched(setup).await;
        for _ in 0..3 {
            manager.hears("WATCHDOG=1").await;
        }
        assert_eq!(complaints(&gateway), 0, "{}", gateway.log());
    }
    // With TLS a connection is counted after its handshake, which is all that is looked for.
    let setup = Setup::anthropic(&sim).set("server", "connections_max", "2");
    let (gateway, mut manager, _socket) = watched(setup).await;
    let mut held = Vec::new();
    until("no further connection to be taken", async || {
        held.push(TcpStream::connect(gateway.address).unwrap());
        (value(&gateway, "tollgate_connections_shed_total").await > 0.0).then_some(())
    })
    .await;
    manager.forget("WATCHDOG=1");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    assert_eq!(complaints(&gateway), 0, "{}", gateway.log());
}
