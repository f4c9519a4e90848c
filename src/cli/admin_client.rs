//! Asks the node that runs on a data directory, over its admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::control::admin::answer::Answer;
use crate::control::admin::command::Command;
use crate::control::admin::error::AdminError;
use crate::control::admin::socket::{Reply, SOCKET_NAME};
use crate::types::secret::Secret;

/// How long the node may take to answer.
const REPLY_DEADLINE: Duration = Duration::from_secs(60);

/// How long an answer may be: a listing of some hundred thousand users.
const REPLY_BYTES_MAX: u64 = 128 * 1_024 * 1_024;

/// What came of asking.
#[derive(Debug)]
pub enum Asked {
    /// The node answered.
    Answered(Answer),
    /// No node is running on this data directory.
    NoNode,
}

/// Why a command was not carried out, or its outcome not shown.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// The admin service declined, or failed.
    #[error("{0}")]
    Declined(AdminError),
    /// A node is there, but does not answer.
    #[error("the node at {socket} cannot be reached: {source}")]
    Unreachable {
        /// Its socket.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing could be opened to carry the command out here.
    #[error("no node is running, and the command cannot be carried out without one: {0}")]
    Offline(String),
    /// The outcome could not be printed.
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl NotDone {
    /// The exit code of the process.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Declined(AdminError::Invalid(_)) => 2,
            Self::Declined(AdminError::NotFound(_) | AdminError::Conflict(_)) => 3,
            Self::Declined(AdminError::Refused(_)) | Self::Unreachable { .. } => 4,
            Self::Declined(AdminError::NotRecorded(_) | AdminError::Failed(_))
            | Self::Offline(_)
            | Self::Output(_) => 1,
        }
    }
}

/// Asks the node that runs on this data directory. Once it is connected there is no way back to
/// [`Asked::NoNode`]: the node may have carried the command out even if its answer was lost.
pub fn ask(data_dir: &Path, command: &Command) -> Result<Asked, NotDone> {
    let path = data_dir.join(SOCKET_NAME);
    let unreachable = |source| NotDone::Unreachable {
        socket: path.display().to_string(),
        source,
    };
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if is_nobody_there(&error) => return Ok(Asked::NoNode),
        Err(error) => return Err(unreachable(error)),
    };
    match converse(&stream, command).map_err(unreachable)? {
        Reply::Ok(answer) => Ok(Asked::Answered(answer)),
        Reply::Error(error) => Err(NotDone::Declined(error)),
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn converse(mut stream: &UnixStream, command: &Command) -> io::Result<Reply> {
    stream.set_read_timeout(Some(REPLY_DEADLINE))?;
    stream.set_write_timeout(Some(REPLY_DEADLINE))?;
    let line = serde_json::to_string(command)? + "\n";
    // A stranger is refused before it has said anything: whatever the write did, the reply tells.
    let written = stream.write_all(line.as_bytes());
    let mut reply = Secret::new(Vec::new());
    BufReader::new(stream.take(REPLY_BYTES_MAX)).read_until(b'\n', reply.expose_mut())?;
    if reply.expose().is_empty() {
        written?;
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it closed the connection without an answer; look whether the change was made",
        ));
    }
    Ok(serde_json::from_slice(reply.expose())?)
}
