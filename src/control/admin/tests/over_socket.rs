//! The admin socket as a client meets it.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::control::admin::peer::{Admitted, own_uid};
use crate::control::admin::socket::{AdminSocket, REQUEST_BYTES_MAX, Reply, SOCKET_NAME, SocketError};

/// A socket being served, until it is stopped.
struct Served {
    house: House,
    tasks: JoinSet<()>,
    stop: oneshot::Sender<()>,
}

impl Served {
    async fn with(admitted: Admitted) -> Self {
        let house = House::furnished().await;
        let socket = AdminSocket::bind(house.directory.path(), admitted).unwrap();
        let (stop, stopped) = oneshot::channel();
        let service = house.service.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            socket
                .run(service, async {
                    stopped.await.ok();
                })
                .await;
        });
        Self { house, tasks, stop }
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        let path = self.house.directory.path().join(SOCKET_NAME);
        BufReader::new(UnixStream::connect(path).await.unwrap())
    }

    async fn stop(mut self) -> House {
        self.stop.send(()).unwrap();
        self.tasks.join_next().await.unwrap().unwrap();
        self.house
    }
}

async fn ask(connection: &mut BufReader<UnixStream>, line: &str) -> Option<Reply> {
    let line = format!("{line}\n");
    connection.write_all(line.as_bytes()).await.ok();
    hear(connection).await
}

async fn hear(connection: &mut BufReader<UnixStream>) -> Option<Reply> {
    let mut reply = String::new();
    let count = connection.read_line(&mut reply).await.unwrap_or(0);
    (count > 0).then(|| serde_json::from_str(&reply).unwrap())
}

const LIST: &str = r#"{"noun":"tenant","verb":"list"}"#;

#[tokio::test]
async fn answers_several_commands_on_one_connection() {
    let served = Served::with(Admitted::own_user_and_root().unwrap()).await;
    let mut connection = served.connect().await;
    let mut other = served.connect().await;
    for _ in 0..3 {
        let reply = ask(&mut connection, LIST).await;
        match reply {
            Some(Reply::Ok(Answer::Tenants { tenants })) => {
                assert_eq!(tenants[0].name.as_str(), "acme");
            }
            other => panic!("{other:?}"),
        }
    }
    let create = r#"{"noun":"key","verb":"create","user":{"tenant":null,"name":"ada@acme.test"},"name":"x"}"#;
    match ask(&mut other, create).await {
        Some(Reply::Ok(Answer::KeyCreated { key, .. })) => {
            assert!(served.house.identify(key.expose()).await.is_ok());
        }
        other => panic!("{other:?}"),
    }
    let uid = own_uid().unwrap();
    let events = served.house.ledger.events.lock().clone();
    assert_eq!(events.last().unwrap().peer_uid, uid, "the kernel's word");
    served.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_the_connection_goes_on() {
    let served = Served::with(Admitted::own_user_and_root().unwrap()).await;
    let mut connection = served.connect().await;
    let nonsense = [
        "",
        "{}",
        "[]",
        r#"{"noun":"tenant","verb":"burn"}"#,
        r#"{"noun":"tenant","verb":"create","name":"x","uid":0}"#,
        r#"{"noun":"key","verb":"revoke","id":"x"}"#,
    ];
    for line in nonsense {
        let reply = ask(&mut connection, line).await;
        assert!(
            matches!(reply, Some(Reply::Error(AdminError::Invalid(_)))),
            "{line}: {reply:?}"
        );
    }
    assert!(matches!(ask(&mut connection, LIST).await, Some(Reply::Ok(_))));
    served.stop().await;
}

#[tokio::test]
async fn a_command_has_a_size_limit_and_a_cut_off_one_is_not_carried_out() {
    let served = Served::with(Admitted::own_user_and_root().unwrap()).await;
    let limit = usize::try_from(REQUEST_BYTES_MAX).unwrap();
    let mut connection = served.connect().await;
    let padded = LIST.to_owned() + &" ".repeat(limit - LIST.len());
    assert!(
        matches!(ask(&mut connection, &padded).await, Some(Reply::Ok(_))),
        "at the limit"
    );
    let reply = ask(&mut connection, &format!("{padded} ")).await;
    assert!(matches!(reply, Some(Reply::Error(AdminError::Invalid(_)))));
    assert!(hear(&mut connection).await.is_none(), "and closed");

    let mut connection = served.connect().await;
    let disable = r#"{"noun":"tenant","verb":"disable","name":"acme"}"#;
    connection.write_all(disable.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    assert!(hear(&mut connection).await.is_none());
    let rows = served.house.store.identity().await.unwrap();
    assert!(rows.tenants[0].disabled_at.is_none());
    served.stop().await;
}

#[tokio::test]
async fn another_unix_user_is_refused_whatever_it_asks() {
    let stranger_to_us = own_uid().unwrap() + 1;
    let served = Served::with(Admitted::only(stranger_to_us)).await;
    let mut connection = served.connect().await;
    let reply = hear(&mut connection).await;
    match reply {
        Some(Reply::Error(AdminError::Refused(message))) => {
            assert!(message.contains(&own_uid().unwrap().to_string()), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let disable = r#"{"noun":"tenant","verb":"disable","name":"acme"}"#;
    assert!(ask(&mut connection, disable).await.is_none());
    let rows = served.house.store.identity().await.unwrap();
    assert!(rows.tenants[0].disabled_at.is_none());
    served.stop().await;
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_node() {
    let served = Served::with(Admitted::own_user_and_root().unwrap()).await;
    let mut idle = served.connect().await;
    // The reply proves that it is accepted and being served.
    assert!(ask(&mut idle, LIST).await.is_some());
    let path = served.house.directory.path().join(SOCKET_NAME);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = AdminSocket::bind(
        served.house.directory.path(),
        Admitted::own_user_and_root().unwrap(),
    );
    assert!(matches!(again.unwrap_err(), SocketError::Taken { .. }));
    let _house = served.stop().await;
    assert!(!path.exists());
    let mut rest = Vec::new();
    idle.into_inner().read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an idle connection does not delay the end");
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_another_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET_NAME);
    let admitted = Admitted::own_user_and_root().unwrap();
    // Dropping a standard listener leaves its file behind, as a crash does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(AdminSocket::bind(directory.path(), admitted).unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    let refused = AdminSocket::bind(directory.path(), admitted).unwrap_err();
    assert!(matches!(refused, SocketError::NotASocket { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no nursery is left behind");
}
