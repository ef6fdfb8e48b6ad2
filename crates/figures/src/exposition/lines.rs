//! Bytes in any pieces, cut into lines of bounded length.

use memchr::memchr;

/// Cuts lines. Holds the beginning of one line at most.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The line that is not complete yet; never longer than `bytes_max`.
    begun: Vec<u8>,
    /// The line is longer than is held; the rest of it is passed over.
    is_too_long: bool,
    bytes_max: usize,
}

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Lines {
        Lines { begun: Vec::new(), is_too_long: false, bytes_max }
    }

    /// Calls `take` for each line that ends in `piece`, without its line feed; with `None` for one that was too long.
    pub(crate) fn feed<E>(
        &mut self,
        mut piece: &[u8],
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            piece = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.is_too_long {
                take((line.len() <= self.bytes_max).then_some(line))?;
            } else {
                self.hold(line);
                self.end(&mut take)?;
            }
        }
        self.hold(piece);
        Ok(())
    }

    /// The last line, which needs no line feed.
    pub(crate) fn finish<E>(mut self, mut take: impl FnMut(Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        if self.begun.is_empty() && !self.is_too_long { Ok(()) } else { self.end(&mut take) }
    }

    fn hold(&mut self, piece: &[u8]) {
        if self.is_too_long || self.begun.len() + piece.len() > self.bytes_max {
            self.is_too_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn end<E>(&mut self, take: &mut impl FnMut(Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        let taken = take((!self.is_too_long).then_some(&self.begun));
        self.begun.clear();
        self.is_too_long = false;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn cut(text: &[u8], step: usize) -> Vec<Option<String>> {
        let mut found = Vec::new();
        let mut take = |line: Option<&[u8]>| -> Result<(), Infallible> {
            found.push(line.map(|line| String::from_utf8_lossy(line).into_owned()));
            Ok(())
        };
        let mut lines = Lines::new(8);
        for piece in text.chunks(step) {
            let Ok(()) = lines.feed(piece, &mut take);
            assert!(lines.begun.len() <= 8);
        }
        let Ok(()) = lines.finish(&mut take);
        found
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_are_cut() {
        let text = b"a\n\n12345678\n123456789\nb\n1234567890123\nlast";
        let some = |text: &str| Some(text.to_string());
        let expected = [some("a"), some(""), some("12345678"), None, some("b"), None, some("last")];
        for step in 1..=text.len() {
            assert_eq!(cut(text, step), expected, "{step} bytes at a time");
        }
        assert_eq!(cut(b"a\n", 1), [some("a")]);
        assert_eq!(cut(b"", 1), []);
    }
}
