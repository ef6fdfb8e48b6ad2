//! Where a thread that logs puts its line: into a buffer of bounded length, without waiting.

use std::io::{self, Write};

use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// The longest line, in bytes: the buffer counts lines, so a line must be bounded itself. A longer one (a trace
/// of a large head) is cut.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// The end of a line that was cut.
const CUT: &[u8] = b" [cut]\n";

/// Gives each line to the log's thread. A line that finds no room is dropped and counted.
#[derive(Debug, Clone)]
pub(super) struct Queue<W = NonBlocking>(W);

impl<W> Queue<W> {
    pub(super) fn new(lines: W) -> Self {
        Self(lines)
    }
}

impl<W: Write> Write for Queue<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE_BYTES_MAX {
            self.0.write_all(line)?;
        } else {
            let kept = &line[..LINE_BYTES_MAX - CUT.len()];
            // The last character may be half there.
            let kept = kept.utf8_chunks().next().map_or(kept, |chunk| chunk.valid().as_bytes());
            self.0.write_all(&[kept, CUT].concat())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + Clone + 'a> MakeWriter<'a> for Queue<W> {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &[u8]) -> Vec<u8> {
        let mut queue = Queue::new(Vec::new());
        assert_eq!(queue.write(line).unwrap(), line.len());
        queue.0
    }

    #[test]
    fn a_line_is_as_long_as_it_was_or_cut_and_says_so() {
        assert_eq!(written(b"short\n"), b"short\n");
        let longest = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(written(&longest), longest);
        for long in ["x".repeat(LINE_BYTES_MAX + 1), "x".to_owned() + &"\u{e4}".repeat(LINE_BYTES_MAX)] {
            let cut = written(long.as_bytes());
            assert!(cut.len() <= LINE_BYTES_MAX && cut.ends_with(CUT), "{}", cut.len());
            assert!(cut.len() > LINE_BYTES_MAX - 2 && std::str::from_utf8(&cut).is_ok());
        }
    }
}
