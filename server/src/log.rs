//! The log, on standard error. A thread of its own writes it, and no one waits for that thread: what cannot be written, or
//! not as fast as it comes, is counted and left out. The number is logged when the log works again.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;

/// Messages that wait to be written.
const WAITING: usize = 4_096;
/// At the end, what waits has this long.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);
/// How often it is said at most that messages are lost.
const SAY_EVERY: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The log of the process. When it is dropped, what waits is written.
pub struct Log(SyncSender<Message>);

/// Begins to log.
///
/// # Errors
/// When `filter` is none, or the system gives no thread.
pub fn start(json: bool, filter: &str) -> Result<Log, String> {
    let filter = parse_filter(filter)?;
    let (queue, messages) = Queue::new();
    let (log, lost) = (Log(queue.sender.clone()), queue.lost.clone());
    thread::Builder::new()
        .name("log".into())
        .spawn(move || write_all(io::stderr(), &messages, &lost, say_lost))
        .map_err(|error| format!("The log cannot be written: {error}."))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || queue.clone());
    let _ = if json { subscriber.json().try_init() } else { subscriber.try_init() };
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked")));
    Ok(log)
}

/// Which messages are logged, such as `info,sqlx=warn`.
///
/// # Errors
/// A sentence for the terminal.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| {
        format!("{filter:?} does not say what is logged: {error}. Set KEYDESK_LOG to such as info,sqlx=warn.")
    })
}

/// Prints a line. It is lost where standard output is closed.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn say_lost(messages: u64) {
    tracing::error!(messages, "messages were not logged since the start: the log could not be written");
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, flushed) = sync_channel(1);
        // A full queue is not written.
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(FLUSH_WITHIN);
        }
    }
}

/// Takes each message whole, in one call.
#[derive(Clone)]
struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    fn new() -> (Self, Receiver<Message>) {
        let (sender, messages) = sync_channel(WAITING);
        (Self { sender, lost: Arc::default() }, messages)
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `say` is told the number of lost messages when one was written again.
fn write_all(out: impl Write, messages: &Receiver<Message>, lost: &AtomicU64, say: impl Fn(u64)) {
    let mut lines = Lines { out, is_cut: false };
    let (mut said, mut said_at) = (0, None::<Instant>);
    for message in messages {
        match message {
            Message::Flush(done) => {
                let _ = done.send(());
            }
            Message::Line(line) if lines.put(&line).is_err() => {
                lost.fetch_add(1, Ordering::Relaxed);
            }
            Message::Line(_) => {
                let now = lost.load(Ordering::Relaxed);
                if now != said && said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                    (said, said_at) = (now, Some(Instant::now()));
                    say(now);
                }
            }
        }
    }
}

struct Lines<W> {
    out: W,
    /// A line was written in part.
    is_cut: bool,
}

impl<W: Write> Lines<W> {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_cut {
            self.out.write_all(b"\n")?;
            self.is_cut = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.is_cut = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A disk with so many bytes of space.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, space) = &mut *self.0.lock().unwrap();
            let count = bytes.len().min(*space);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            *space -= count;
            written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_later() {
        let (mut queue, messages) = Queue::new();
        let (disk, said) = (Disk::default(), Arc::new(Mutex::new(Vec::new())));
        disk.0.lock().unwrap().1 = 6;
        let (out, lost, told) = (disk.clone(), queue.lost.clone(), said.clone());
        let writer =
            thread::spawn(move || write_all(out, &messages, &lost, |count| told.lock().unwrap().push(count)));
        let mut log = |line: &str| {
            queue.write_all(line.as_bytes()).unwrap();
            drop(Log(queue.sender.clone()));
        };
        log("one\n");
        log("two\n");
        log("three\n");
        disk.0.lock().unwrap().1 = 100;
        log("four\n");
        drop(queue);
        writer.join().unwrap();
        assert_eq!(String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap(), "one\ntw\nfour\n");
        assert_eq!(*said.lock().unwrap(), [2]);
    }

    #[test]
    fn nobody_waits_for_a_log_that_is_not_written() {
        let (mut queue, messages) = Queue::new();
        for _ in 0..WAITING + 10 {
            queue.write_all(b"a line\n").unwrap();
        }
        assert_eq!(queue.lost.load(Ordering::Relaxed), 10);
        drop(Log(queue.sender.clone()));
        drop(messages);
        queue.write_all(b"a line\n").unwrap();
        assert_eq!(queue.lost.load(Ordering::Relaxed), 11);
    }
}
