//! Under a service manager: what it is told, and the sockets that it hands over.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection};
use crate::support::gateway::{Gateway, Launch};
use crate::support::home::Home;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
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
