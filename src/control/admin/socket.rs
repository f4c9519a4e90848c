//! The admin socket: one JSON command per line in, one JSON reply per line out.
//!
//! The socket is readable by its owner only, and beyond that the kernel is asked who is at the other end.

use std::fs::{self, DirBuilder, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::control::admin::answer::Answer;
use crate::control::admin::command::Command;
use crate::control::admin::error::AdminError;
use crate::control::admin::peer::Admitted;
use crate::control::admin::service::AdminService;
use crate::types::secret::Secret;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";

/// How long a command may be.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1_024;

/// How long a connection may stay silent.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(30);

/// How long a reply may take to be read by the other end.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How many connections are served at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// How long the loop rests when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long commands that are under way may take to end at shutdown.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// The reply to one command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was carried out.
    Ok(Answer),
    /// It was not.
    Error(AdminError),
}

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers at this place.
    #[error("{path}: another node is running on this data directory")]
    Taken {
        /// The socket.
        path: String,
    },
    /// Something else stands there.
    #[error("{path}: this is not a socket; move it away")]
    NotASocket {
        /// The file.
        path: String,
    },
    /// The system did not allow it.
    #[error("{path}: the admin socket cannot be opened")]
    Io {
        /// The socket.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The admin socket, listening. The file is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    admitted: Admitted,
}

impl AdminSocket {
    /// Listens at `admin.sock` in this directory. A socket that nobody answers at is replaced.
    pub fn bind(data_dir: &Path, admitted: Admitted) -> Result<Self, SocketError> {
        let path = data_dir.join(SOCKET_NAME);
        let shown = || path.display().to_string();
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => return Err(SocketError::Taken { path: shown() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if is_socket(&path) => {}
            Err(_) => return Err(SocketError::NotASocket { path: shown() }),
        }
        let listener = listen(data_dir, &path).map_err(|source| SocketError::Io {
            path: shown(),
            source,
        })?;
        Ok(Self {
            listener,
            path,
            admitted,
        })
    }

    /// Serves until the shutdown resolves and the commands under way are done.
    pub async fn run(self, service: Arc<AdminService>, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.accept(&room) => accepted,
            };
            let Some((stream, permit)) = accepted else {
                continue;
            };
            let (service, stopped, admitted) = (Arc::clone(&service), stopped.clone(), self.admitted);
            connections.spawn(async move {
                if let Err(error) = converse(stream, &service, admitted, stopped).await {
                    tracing::debug!(%error, "an admin connection ended early");
                }
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(stop);
        let drained = timeout(DRAIN_DEADLINE, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("an administrative command was still under way at shutdown");
        }
    }

    /// The next connection, once there is room for it.
    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(room).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, permit)),
            Err(error) => {
                tracing::warn!(%error, "the admin socket cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // If it cannot be removed, the next node finds that nobody answers and replaces it.
        fs::remove_file(&self.path).ok();
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket())
}

/// Binds inside a directory that only we may enter, narrows the socket's mode, then moves it into place: whatever
/// the umask, there is no moment in which others could connect.
fn listen(data_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    let nursery = data_dir.join(".admin-socket");
    fs::remove_dir_all(&nursery).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    DirBuilder::new().mode(0o700).create(&nursery)?;
    let draft = nursery.join("s");
    let listener = UnixListener::bind(&draft);
    let placed = listener.and_then(|listener| {
        fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        fs::rename(&draft, path)?;
        Ok(listener)
    });
    fs::remove_dir_all(&nursery)?;
    placed
}

/// Serves one connection: refuses a stranger, else answers line by line.
async fn converse(
    stream: UnixStream,
    service: &AdminService,
    admitted: Admitted,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    if !admitted.admits(uid) {
        tracing::warn!(uid, "a Unix user was refused at the admin socket");
        let refusal = AdminError::Refused(format!(
            "user {uid} may not administer this node; use root or the user it runs as"
        ));
        return send(&mut writer, &Reply::Error(refusal)).await;
    }
    let mut reader = BufReader::new(reader);
    loop {
        let line = tokio::select! {
            // The channel is closed, never sent to.
            _ = stopped.changed() => return Ok(()),
            line = timeout(IDLE_DEADLINE, read_line(&mut reader)) => line??,
        };
        let reply = match line {
            Line::End => return Ok(()),
            Line::TooLong => {
                let limit = REQUEST_BYTES_MAX;
                let refusal = AdminError::Invalid(format!("a command has {limit} bytes at most"));
                return send(&mut writer, &Reply::Error(refusal)).await;
            }
            Line::Text(text) => reply_to(&text, service, uid).await,
        };
        send(&mut writer, &reply).await?;
    }
}

enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Line> {
    let mut text = Vec::new();
    reader
        .take(REQUEST_BYTES_MAX + 1)
        .read_until(b'\n', &mut text)
        .await?;
    match text.pop() {
        Some(b'\n') => Ok(Line::Text(text)),
        Some(_) if u64::try_from(text.len()).is_ok_and(|length| length >= REQUEST_BYTES_MAX) => {
            Ok(Line::TooLong)
        }
        // A command that was cut off is not carried out.
        Some(_) | None => Ok(Line::End),
    }
}

async fn reply_to(line: &[u8], service: &AdminService, uid: u32) -> Reply {
    let command: Command = match serde_json::from_slice(line) {
        Ok(command) => command,
        Err(error) => return Reply::Error(AdminError::Invalid(format!("not a command: {error}"))),
    };
    match service.execute(uid, command).await {
        Ok(answer) => Reply::Ok(answer),
        Err(error) => Reply::Error(error),
    }
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = Secret::new(serde_json::to_vec(reply)?);
    line.expose_mut().push(b'\n');
    timeout(WRITE_DEADLINE, writer.write_all(line.expose())).await??;
    Ok(())
}
