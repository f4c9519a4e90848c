//! Keeps one gateway running, and knows nothing of it.
//!
//! The gateway's standard input is a pipe from here. Through it wishes are handed on, and its end
//! tells the gateway that the supervisor is gone, however that came about.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::types::wish;

/// The wait before a gateway that died is started again; it doubles with every death.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A gateway that ran for so long is started again after the shortest wait.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// Exit codes of a gateway that ended because it was told to: in good order, with requests cut off,
/// with a journal that could not be written to its end.
const ENDED: [u8; 3] = [0, 5, 6];

/// Exit codes of a gateway that could not start. On the first attempt that is the answer; later on
/// what is in its way may go away.
const NOT_STARTED: [u8; 2] = [1, 2];

/// What to run.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// How one life of the gateway ended.
struct Ended {
    status: ExitStatus,
    /// Whether it was told to end.
    told: bool,
}

impl Ended {
    /// As a shell tells it: 128 and the signal's number where a signal ended it.
    fn code(&self) -> u8 {
        let code = self
            .status
            .code()
            .or_else(|| self.status.signal().map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

/// Runs the gateway, again after every death, until it ends because it was told to, or could not
/// start at all. Gives its exit code.
///
/// # Errors
/// The program cannot be started, or signals cannot be listened to.
pub async fn supervise(gateway: &Gateway) -> io::Result<u8> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
    };
    let mut pause = FIRST_PAUSE;
    let mut lives = 0u64;
    loop {
        lives += 1;
        let born = Instant::now();
        let mut child = start(gateway)?;
        let ended = attend(&mut child, &mut signals).await?;
        let code = ended.code();
        if ended.told || ENDED.contains(&code) || (lives == 1 && NOT_STARTED.contains(&code)) {
            return Ok(code);
        }
        if born.elapsed() >= STEADY_AFTER {
            pause = FIRST_PAUSE;
        }
        let (status, wait_ms) = (ended.status, pause.as_millis());
        tracing::error!(%status, lives, wait_ms, "the gateway died and is started again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = signals.terminate.recv() => return Ok(0),
            _ = signals.interrupt.recv() => return Ok(0),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn start(gateway: &Gateway) -> io::Result<Child> {
    Command::new(&gateway.program)
        .args(&gateway.arguments)
        // Sockets and the watchdog of the service manager are meant for the gateway, whatever its id.
        .env_remove("LISTEN_PID")
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::piped())
        // Ctrl-C in a terminal reaches this process alone, which hands it on once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Waits for the end of a gateway, and hands wishes on to it meanwhile.
async fn attend(child: &mut Child, signals: &mut Signals) -> io::Result<Ended> {
    let mut input = child.stdin.take();
    let mut stops = 0u8;
    loop {
        let stop = tokio::select! {
            status = child.wait() => return Ok(Ended { status: status?, told: stops > 0 }),
            _ = signals.hangup.recv() => false,
            _ = signals.terminate.recv() => true,
            _ = signals.interrupt.recv() => true,
        };
        if !stop {
            tell(&mut input, wish::RELOAD).await;
            continue;
        }
        stops = stops.saturating_add(1);
        match stops {
            1 => tell(&mut input, wish::STOP).await,
            2 => tell(&mut input, wish::STOP_AT_ONCE).await,
            // It has been told twice and is still there: somebody wants it gone.
            _ => child.start_kill()?,
        }
    }
}

/// Tells the gateway; a gateway that no longer listens is about to be waited for.
async fn tell(input: &mut Option<ChildStdin>, wish: u8) {
    if let Some(input) = input {
        let told = input.write_all(&[wish]).await;
        if let Err(error) = told {
            tracing::warn!(%error, "the gateway does not listen");
        }
    }
}
