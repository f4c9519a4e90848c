//! What is wished of the process from outside: stop, stop at once, reload.
//!
//! Wishes come as signals, and from a supervisor through standard input, one byte each. The end of
//! that input means that the supervisor is gone, and nobody would start or stop us any more.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::types::wish;

/// How urgently the process shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// When running requests have ended, or the drain deadline is over.
    Drained,
    /// Now; what is running is told so.
    AtOnce,
}

/// Who waits for wishes.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Whether to stop.
    pub stop: watch::Receiver<Stop>,
    /// Notified for each reload.
    pub reload: Arc<Notify>,
}

impl Wishes {
    /// Waits until the process shall stop this urgently.
    pub async fn stop_wished(&self, urgency: Stop) {
        let mut stop = self.stop.clone();
        // An error means that nobody is left to wish for anything: never.
        if stop.wait_for(|wished| *wished >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Where wishes come from.
pub struct Ears {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    supervisor: Option<pipe::Receiver>,
    stop: watch::Sender<Stop>,
    reload: Arc<Notify>,
}

impl Ears {
    /// Listens from now on; until then, and without [`Ears::run`], a signal is not lost.
    ///
    /// # Errors
    /// Signals cannot be listened to, or standard input is no pipe although there is a supervisor.
    pub fn new(supervised: bool) -> io::Result<(Self, Wishes)> {
        let supervisor = if supervised {
            let input = io::stdin().as_fd().try_clone_to_owned()?;
            Some(pipe::Receiver::from_owned_fd(input)?)
        } else {
            None
        };
        let (stop, stopping) = watch::channel(Stop::No);
        let ears = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            supervisor,
            stop,
            reload: Arc::default(),
        };
        let wishes = Wishes {
            stop: stopping,
            reload: Arc::clone(&ears.reload),
        };
        Ok((ears, wishes))
    }

    /// Hands wishes on until `finishing` turns true.
    pub async fn run(mut self, mut finishing: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = finishing.wait_for(|finish| *finish) => return,
                _ = self.terminate.recv() => self.again(),
                _ = self.interrupt.recv() => self.again(),
                _ = self.hangup.recv() => self.reload.notify_one(),
                byte = next_byte(&mut self.supervisor) => match byte {
                    Some(wish::RELOAD) => self.reload.notify_one(),
                    Some(wish::STOP) => self.at_least(Stop::Drained),
                    Some(wish::STOP_AT_ONCE) => self.at_least(Stop::AtOnce),
                    Some(_) => {}
                    None => {
                        self.supervisor = None;
                        tracing::warn!("the supervisor is gone");
                        self.at_least(Stop::AtOnce);
                    }
                },
            }
        }
    }

    /// The first signal asks to drain, the second to end at once.
    fn again(&self) {
        self.stop.send_modify(|stop| {
            *stop = match *stop {
                Stop::No => Stop::Drained,
                Stop::Drained | Stop::AtOnce => Stop::AtOnce,
            };
        });
    }

    fn at_least(&self, wished: Stop) {
        self.stop.send_modify(|stop| *stop = wished.max(*stop));
    }
}

/// The next byte; none at the end. Without a supervisor there is no next.
async fn next_byte(supervisor: &mut Option<pipe::Receiver>) -> Option<u8> {
    let Some(pipe) = supervisor else {
        return std::future::pending().await;
    };
    loop {
        pipe.readable().await.ok()?;
        let mut byte = [0u8; 1];
        match pipe.try_read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => return byte.first().copied(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}
