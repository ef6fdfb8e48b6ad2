//! What the log's own thread does: writes lines, as long as that may take, and says how many are missing.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use tracing_appender::non_blocking::ErrorCounter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use watertight_server::config::LogFormat;

use super::BUFFERED_LINES_MAX;

const NOTICE: &str = "log lines were dropped: standard error is not read as fast as they come";

/// How many lines were dropped.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Lines that the operating system refused.
    failed: AtomicU64,
    /// Lines that found the buffer full. Set once the buffer is there.
    refused: OnceLock<ErrorCounter>,
}

impl Dropped {
    pub(super) fn count_refusals(&self, counter: ErrorCounter) {
        // It is called once, after the one buffer was made.
        self.refused.set(counter).ok();
    }

    pub(super) fn count(&self) -> u64 {
        let refused = self.refused.get().map_or(0, ErrorCounter::dropped_lines);
        self.failed.load(Ordering::Relaxed) + refused as u64
    }
}

/// Writes lines. Where lines were dropped it says how many, behind those that were kept: that is when the buffer
/// has run empty, or after as many lines as it holds.
pub(super) struct LogWriter<W> {
    to: W,
    format: LogFormat,
    dropped: Arc<Dropped>,
    /// How many of the dropped lines were told of.
    told: u64,
    /// Lines written since it was last looked at whether to tell.
    unlooked: usize,
}

impl<W: Write + AsFd> LogWriter<W> {
    pub(super) fn new(to: W, format: LogFormat, dropped: Arc<Dropped>) -> Self {
        Self { to, format, dropped, told: 0, unlooked: 0 }
    }

    /// Tells of lines that were dropped since it did so last. A notice that cannot be written has told nothing.
    fn tell(&mut self) {
        self.unlooked = 0;
        let dropped = self.dropped.count();
        if dropped > self.told && self.put(&notice(self.format, dropped - self.told)).is_ok() {
            self.told = dropped;
        }
    }

    /// Waits as long as it takes. Standard error may be set not to block, by whoever shares it.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W: Write + AsFd> Write for LogWriter<W> {
    /// Takes a line. It never fails: the appender would forget the line without counting it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.put(line).is_err() {
            self.dropped.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.unlooked += 1;
        if self.unlooked >= BUFFERED_LINES_MAX {
            self.tell();
        }
        Ok(line.len())
    }

    /// Called when the buffer is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.tell();
        self.to.flush()
    }
}

/// A line like those of the log. It does not go through the filter: whatever is logged, this is to be seen.
fn notice(log_format: LogFormat, lines: u64) -> Vec<u8> {
    let mut time = String::new();
    // Only writing to the text could fail.
    SystemTime.format_time(&mut format::Writer::new(&mut time)).ok();
    let target = module_path!();
    let text = match log_format {
        LogFormat::Text => format!("{time}  WARN {target}: {NOTICE} lines={lines}\n"),
        LogFormat::Json => {
            let fields = [("timestamp", &*time), ("level", "WARN"), ("message", NOTICE), ("target", target)];
            let mut line: serde_json::Map<_, _> =
                fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
            line.insert("lines".to_owned(), lines.into());
            format!("{}\n", serde_json::Value::Object(line))
        }
    };
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn writer(format: LogFormat) -> (LogWriter<UnixStream>, UnixStream) {
        let (to, reader) = UnixStream::pair().unwrap();
        (LogWriter::new(to, format, Arc::default()), reader)
    }

    fn drop_lines(writer: &LogWriter<UnixStream>, count: u64) {
        writer.dropped.failed.fetch_add(count, Ordering::Relaxed);
    }

    fn all_of(writer: LogWriter<UnixStream>, mut reader: UnixStream) -> String {
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn dropped_lines_are_told_once_behind_those_that_were_kept() {
        let (mut writer, reader) = writer(LogFormat::Text);
        writer.write_all(b"first\n").unwrap();
        drop_lines(&writer, 7);
        writer.write_all(b"second\n").unwrap();
        writer.flush().unwrap();
        writer.flush().unwrap();
        drop_lines(&writer, 2);
        writer.flush().unwrap();
        let text = all_of(writer, reader);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), &lines[..2]), (4, &["first", "second"][..]), "{text}");
        assert!(lines[2].contains(" WARN ") && lines[2].ends_with("lines=7"), "{text}");
        assert!(lines[3].ends_with("lines=2"), "{text}");
    }

    #[test]
    fn a_buffer_that_never_runs_empty_does_not_keep_it_from_being_told() {
        let (mut writer, mut reader) = writer(LogFormat::Json);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        drop_lines(&writer, 3);
        for _ in 0..BUFFERED_LINES_MAX {
            writer.write_all(b"{}\n").unwrap();
        }
        drop(writer);
        let text = reading.join().unwrap().unwrap();
        let notice: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((&notice["level"], &notice["lines"]), (&"WARN".into(), &3.into()), "{notice}");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_a_notice_that_fails_told_nothing() {
        let (mut writer, reader) = writer(LogFormat::Text);
        drop(reader);
        writer.write_all(b"first\n").unwrap();
        writer.flush().unwrap();
        writer.write_all(b"second\n").unwrap();
        assert_eq!((writer.dropped.count(), writer.told), (2, 0));
    }

    #[test]
    fn a_full_pipe_that_does_not_block_is_waited_for() {
        let (mut writer, mut reader) = writer(LogFormat::Text);
        writer.to.set_nonblocking(true).unwrap();
        let long = vec![b'x'; 1 << 20];
        let reading = std::thread::spawn(move || {
            let mut read = vec![0; 1 << 20];
            reader.read_exact(&mut read).map(|()| read)
        });
        writer.write_all(&long).unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), long);
        assert_eq!(writer.dropped.count(), 0);
    }
}
