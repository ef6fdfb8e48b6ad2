//! A panic as a line of the log. The usual hook prints to standard error on the thread that panics, which may be
//! a pump's, and stands there for as long as nobody reads.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use tracing::error;

/// How much is kept of what a panic says, and of its backtrace, in bytes: both fit a line.
const SAID_BYTES_MAX: usize = 1024;
const BACKTRACE_BYTES_MAX: usize = 2048;

/// From now on panics of any thread are logged.
pub(super) fn log_them() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = panic.location().map_or_else(|| "an unknown line".to_owned(), ToString::to_string);
    let said = start(panic.payload_as_str().unwrap_or("what it said is no text"), SAID_BYTES_MAX);
    // Only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let backtrace = backtrace.to_string();
        let backtrace = start(&backtrace, BACKTRACE_BYTES_MAX);
        error!(thread, backtrace, "panicked at {location}: {said}");
    } else {
        error!(thread, "panicked at {location}: {said}");
    }
}

/// At most so many bytes of a text.
fn start(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};
    use std::panic::catch_unwind;

    use tracing_subscriber::fmt;

    use super::super::{buffered, queue::Queue};
    use super::*;

    /// Panics of this thread are logged to `queue` while `work` runs.
    fn logged(queue: Queue, work: impl FnOnce()) {
        let before = std::panic::take_hook();
        log_them();
        tracing::subscriber::with_default(fmt().with_ansi(false).with_writer(queue).finish(), work);
        std::panic::set_hook(before);
    }

    #[test]
    fn a_panic_is_a_line_that_says_where_and_in_which_thread_and_waits_for_nobody() {
        // Nobody reads: the log's thread stands in a write, and the buffer has room for a line.
        let (mut reader, mut to) = pipe().unwrap();
        let stuffing = vec![b'x'; 1 << 20];
        let (lines, guard) = buffered("log", 1, to.try_clone().unwrap());
        let counter = lines.error_counter();
        lines.clone().write_all(&stuffing).unwrap();
        let panics = 20;
        logged(Queue::new(lines), || {
            for number in 0..panics {
                assert!(catch_unwind(|| panic!("injected {number}")).is_err());
            }
        });
        assert!(counter.dropped_lines() >= panics - 1, "{}", counter.dropped_lines());
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map(|_| text)
        });
        drop(guard);
        to.flush().unwrap();
        drop(to);
        let text = reading.join().unwrap().unwrap();
        let text = String::from_utf8_lossy(&text[stuffing.len().min(text.len())..]);
        assert!(text.contains("panicked at crates/cli/src/log/panics.rs:"), "{text}");
        assert!(text.contains("injected") && text.contains(&format!("thread=\"{thread}\"")), "{text}");
    }
}
