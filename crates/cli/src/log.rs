//! The log of a running hub: to standard error, by a thread of its own, so that a reader that does not read it
//! stops nothing. Lines that find the buffer full are dropped and counted.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | `queue` | what a logging thread does: puts a line of bounded length into the buffer |
//! | `writer` | what the log's own thread does: writes lines, and says how many were dropped |
//! | `panics` | a panic is a line of the log like any other |

mod panics;
mod queue;
mod writer;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use watertight_server::DroppedLines;
use watertight_server::config::{Config, LogFormat};

use self::queue::Queue;
use self::writer::{Dropped, LogWriter};

/// Lines that wait to be written, at most. Ten thousand connections that close at once log a line each, faster
/// than it can be written; with [`queue::LINE_BYTES_MAX`] this is 16 MiB at worst and about 1 MiB of usual lines.
const BUFFERED_LINES_MAX: usize = 4096;

/// What may still be printed to standard output: one announcement.
const BUFFERED_ANNOUNCEMENTS_MAX: usize = 4;

/// How long the end waits until all is written. The appender itself waits for 100 ms for room and 1 s for its
/// thread, each for the log and for standard output.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(2500);

/// Logging at work. [`Log::finish`] writes what is left.
pub(crate) struct Log {
    dropped: Arc<Dropped>,
    lines: NonBlocking,
    stdout: NonBlocking,
    /// The threads that write; dropping them waits for a while for what is left.
    guards: Vec<WorkerGuard>,
}

impl Log {
    /// Begins to log as `config` and `WATERTIGHT_LOG` say, which says more than `log_level` can.
    pub(crate) fn start(config: &Config) -> Result<Log, String> {
        let filter = match std::env::var("WATERTIGHT_LOG") {
            Ok(filter) => EnvFilter::try_new(&filter)
                .map_err(|error| format!("WATERTIGHT_LOG = {filter:?}: {error}"))?,
            Err(_) => EnvFilter::try_new(&*config.log_level).map_err(|error| error.to_string())?,
        };
        let ansi = std::io::stderr().is_terminal();
        let dropped = Arc::new(Dropped::default());
        let writer = LogWriter::new(std::io::stderr(), config.log_format, Arc::clone(&dropped));
        let (lines, log_guard) = buffered("log", BUFFERED_LINES_MAX, writer);
        dropped.count_refusals(lines.error_counter());
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Queue::new(lines.clone()));
        match config.log_format {
            LogFormat::Text => log.with_ansi(ansi).init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        panics::log_them();
        let (stdout, stdout_guard) = buffered("stdout", BUFFERED_ANNOUNCEMENTS_MAX, std::io::stdout());
        Ok(Log { dropped, lines, stdout, guards: vec![log_guard, stdout_guard] })
    }

    /// How many lines were dropped.
    pub(crate) fn dropped(&self) -> DroppedLines {
        let dropped = Arc::clone(&self.dropped);
        DroppedLines::new(move || dropped.count())
    }

    /// Prints to standard output, which may be a pipe that nobody reads as well.
    pub(crate) fn announce(&self, text: &str) {
        print_to(&self.stdout, text);
    }

    /// Says on standard error why the program ends, behind all that was logged.
    pub(crate) fn last_line(&self, text: &str) {
        print_to(&self.lines, text);
    }

    /// Writes what is left, for [`FLUSH_TIMEOUT`] at most. The guards are dropped by a thread that is not
    /// waited for any longer: if the pipe is full, the appender prints that it failed, and blocks in that
    /// write.
    pub(crate) fn finish(self) {
        let (done, finished) = sync_channel(1);
        let guards = self.guards;
        let dropping = std::thread::Builder::new().name("log-end".into()).spawn(move || {
            drop(guards);
            // The receiver is gone if it took too long.
            done.try_send(()).ok();
        });
        if dropping.is_ok() {
            // Too late or done: the process ends either way.
            finished.recv_timeout(FLUSH_TIMEOUT).ok();
        }
    }
}

/// In one piece: each write is a line to the buffer. It never fails: what finds no room is counted.
fn print_to(buffer: &NonBlocking, text: &str) {
    buffer.clone().write_all(text.as_bytes()).ok();
}

fn buffered(name: &str, lines: usize, to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(lines).lossy(true).thread_name(name).finish(to)
}
