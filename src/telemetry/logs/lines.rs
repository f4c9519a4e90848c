//! Lines on their way to the error stream. Whoever logs only puts a line into a bounded buffer: no
//! request waits for a slow terminal or a full pipe.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The most that waits to be written, in bytes. Lines beyond it are counted and left out.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long lines gather that are no warnings, so that many become one write.
const LINGER: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    left_out: u64,
    /// Whether the writer sleeps until somebody wakes it.
    idle: bool,
    /// Whether something waits that should not linger.
    urgent: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

/// Where the log goes in.
#[derive(Clone, Debug)]
pub(super) struct Inlet(Arc<Shared>);

/// The thread that writes the log. Dropping it writes what waits and joins it.
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// A buffer whose lines go to `out`.
pub(super) fn lines(out: impl Write + Send + 'static) -> io::Result<(Inlet, Lines)> {
    let shared = Arc::new(Shared::default());
    let own = Arc::clone(&shared);
    let writer = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || write_lines(&own, out))?;
    let lines = Lines {
        shared: Arc::clone(&shared),
        writer: Some(writer),
    };
    Ok((Inlet(shared), lines))
}

fn write_lines(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let left_out = {
            let mut waiting = shared.waiting.lock();
            while waiting.bytes.is_empty() && !waiting.closed {
                waiting.idle = true;
                shared.woken.wait(&mut waiting);
            }
            waiting.idle = false;
            if !waiting.urgent && !waiting.closed {
                shared.woken.wait_for(&mut waiting, LINGER);
            }
            if waiting.bytes.is_empty() && waiting.closed {
                return;
            }
            waiting.urgent = false;
            std::mem::swap(&mut batch, &mut waiting.bytes);
            std::mem::take(&mut waiting.left_out)
        };
        // Nobody is left who could be told that the error stream is gone.
        let _ = out.write_all(&batch);
        if left_out > 0 {
            let _ = writeln!(
                out,
                "{left_out} log lines were left out: they came faster than they could be written"
            );
        }
        batch.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.shared.waiting.lock().closed = true;
        self.shared.woken.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing more to say.
            let _ = writer.join();
        }
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl<'a> MakeWriter<'a> for Inlet {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            shared: &self.0,
            urgent: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            shared: &self.0,
            urgent: *metadata.level() <= Level::WARN,
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting.lock();
        if waiting.bytes.len().saturating_add(line.len()) > WAITING_BYTES_MAX {
            waiting.left_out = waiting.left_out.saturating_add(1);
            return Ok(line.len());
        }
        waiting.bytes.extend_from_slice(line);
        waiting.urgent |= self.urgent;
        let wake = waiting.idle || self.urgent;
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.shared.woken.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes into memory, and only while its gate is open.
    struct Slow {
        out: Arc<Mutex<Vec<u8>>>,
        gate: Arc<Mutex<()>>,
        wrote: mpsc::Sender<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.gate.lock();
            self.out.lock().extend_from_slice(bytes);
            let _ = self.wrote.send(());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Slow, mpsc::Receiver<()>) {
        let (wrote, written) = mpsc::channel();
        let slow = Slow {
            out: Arc::default(),
            gate: Arc::default(),
            wrote,
        };
        (slow, written)
    }

    #[test]
    fn every_line_arrives_in_order() {
        let (slow, _written) = slow();
        let out = Arc::clone(&slow.out);
        let (inlet, lines) = lines(slow).unwrap();
        let mut expected = Vec::new();
        for number in 0..1_000 {
            let line = format!("line {number}\n");
            expected.extend_from_slice(line.as_bytes());
            inlet.make_writer().write_all(line.as_bytes()).unwrap();
        }
        drop(lines);
        assert_eq!(*out.lock(), expected);
    }

    #[test]
    fn a_stream_that_takes_nothing_stops_nobody_and_is_told_what_it_missed() {
        let (slow, written) = slow();
        let (out, gate) = (Arc::clone(&slow.out), Arc::clone(&slow.gate));
        let (inlet, lines) = lines(slow).unwrap();
        let closed = gate.lock();
        let line = vec![b'x'; 64 * 1024];
        for _ in 0..200 {
            inlet.make_writer().write_all(&line).unwrap();
        }
        let held = inlet.0.waiting.lock().bytes.len();
        assert!(held <= WAITING_BYTES_MAX, "{held}");
        drop(closed);
        written.recv().unwrap();
        drop(lines);
        let out = out.lock();
        assert!(
            out.len() < 200 * line.len() && String::from_utf8_lossy(&out).contains("log lines were left out")
        );
    }
}
