//! Bytes into lines, and lines into text. Pure; knows neither standard input nor the hub.

use super::fit::{Fit, Overlong, whole_characters};

/// Longest line with `--ndjson`, and with `--raw` the longest input, in bytes. Above any hub's `max_event_bytes`, and a
/// bound on what a stream without a line break can make this process hold.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The number of what is no line but all of the input.
pub(super) const WHOLE_INPUT: u64 = 0;

/// What a number means, for people.
pub(super) fn describe(number: u64) -> String {
    if number == WHOLE_INPUT { "the input".to_owned() } else { format!("line {number}") }
}

/// One line without its line feed, or a piece of one that was split, and its number from 1, or [`WHOLE_INPUT`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// How many more bytes the line had.
    pub(super) dropped: u64,
    /// Whether more of the same line follows.
    pub(super) goes_on: bool,
}

/// A line over the most bytes, where lines are neither cut nor split.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    pub(super) number: u64,
}

/// Cuts bytes at each line feed. The bytes of a line are kept as they are, but for a CR before the line feed
/// if asked for; of a line that is too long no more is held than goes into one event.
pub(super) struct Lines {
    strip_cr: bool,
    fit: Fit,
    /// The line that has no end yet.
    open: Vec<u8>,
    /// How many bytes of it were dropped.
    dropped: u64,
    /// Lines with an end so far.
    ended: u64,
}

impl Lines {
    pub(super) fn new(strip_cr: bool, fit: Fit) -> Self {
        Self { strip_cr, fit, open: Vec::new(), dropped: 0, ended: 0 }
    }

    /// Takes more bytes and adds the lines that they complete to `lines`.
    pub(super) fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), TooLong> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end], lines)?;
            let line = self.take_open();
            lines.push(line);
            rest = &rest[end + 1..];
        }
        self.extend(rest, lines)
    }

    /// The last line, if it lacked its line feed. An input that ends with one has no empty line after it.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (!self.open.is_empty()).then(|| self.take_open())
    }

    fn extend(&mut self, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), TooLong> {
        let mut rest = bytes;
        loop {
            let room = self.fit.bytes_max.saturating_sub(self.open.len());
            let (now, more) = rest.split_at(rest.len().min(room));
            if !more.is_empty() && self.fit.overlong == Overlong::Refuse {
                return Err(TooLong { number: self.ended + 1 });
            }
            self.open.extend_from_slice(now);
            if more.is_empty() {
                return Ok(());
            }
            if self.fit.overlong == Overlong::Cut {
                self.dropped += more.len() as u64;
                return Ok(());
            }
            let behind = self.open.split_off(whole_characters(&self.open));
            let piece = std::mem::replace(&mut self.open, behind);
            lines.push(Line { number: self.ended + 1, bytes: piece, dropped: 0, goes_on: true });
            rest = more;
        }
    }

    fn take_open(&mut self) -> Line {
        self.ended += 1;
        let mut bytes = std::mem::take(&mut self.open);
        let mut dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let whole = whole_characters(&bytes);
            dropped += (bytes.len() - whole) as u64;
            bytes.truncate(whole);
        } else if self.strip_cr && bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Line { number: self.ended, bytes, dropped, goes_on: false }
    }
}

/// The bytes as text. What is no UTF-8 becomes U+FFFD; the flag says whether any was.
pub(super) fn text(bytes: Vec<u8>) -> (String, bool) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSE: Fit = Fit { bytes_max: LINE_BYTES_MAX, overlong: Overlong::Refuse };

    fn cut(chunks: &[&[u8]], strip_cr: bool) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(strip_cr, REFUSE);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut out).unwrap();
        }
        out.extend(lines.finish());
        assert!(out.iter().zip(1..).all(|(line, number)| line.number == number));
        out.into_iter().map(|line| line.bytes).collect()
    }

    #[test]
    fn a_line_is_its_bytes_without_the_line_feed_however_it_arrives() {
        let input = b"one\r\n\n  two \xff\nthree without an end";
        let expected: Vec<Vec<u8>> =
            [b"one\r".as_slice(), b"", b"  two \xff", b"three without an end"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(cut(&[input], false), expected);
        for at in 0..input.len() {
            assert_eq!(cut(&[&input[..at], &input[at..]], false), expected, "cut at {at}");
        }
    }

    #[test]
    fn no_line_follows_the_last_line_feed() {
        assert_eq!(cut(&[b"a\n"], false), [b"a".to_vec()]);
        assert_eq!(cut(&[b""], false), Vec::<Vec<u8>>::new());
        assert_eq!(cut(&[b"\n\n"], false), [b"".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn one_cr_before_the_line_feed_goes_only_if_asked() {
        assert_eq!(
            cut(&[b"a\r", b"\nb\r\r\nc\rd\n"], true),
            [b"a".to_vec(), b"b\r".to_vec(), b"c\rd".to_vec()]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_and_not_kept_for_ever() {
        let mut lines = Lines::new(false, REFUSE);
        let mut out = Vec::new();
        lines.push(b"first\n", &mut out).unwrap();
        let chunk = vec![b'x'; 1024 * 1024];
        let refused = (0..17).find_map(|_| lines.push(&chunk, &mut out).err());
        assert_eq!(refused, Some(TooLong { number: 2 }));
    }

    /// The lines of an input that comes in chunks of this size.
    fn fitted(input: &[u8], chunk: usize, bytes_max: usize, overlong: Overlong) -> Vec<Line> {
        let mut lines = Lines::new(true, Fit { bytes_max, overlong });
        let mut out = Vec::new();
        for chunk in input.chunks(chunk) {
            lines.push(chunk, &mut out).unwrap();
        }
        out.extend(lines.finish());
        out
    }

    fn line(number: u64, text: &str, dropped: u64) -> Line {
        Line { number, bytes: text.into(), dropped, goes_on: false }
    }

    #[test]
    fn of_a_line_that_is_cut_the_beginning_is_held_and_the_rest_counted_however_it_arrives() {
        let input = "ab\nabcdefg€hi\r\nabcdefgh\n\r\n".as_bytes();
        for chunk in 1..input.len() {
            assert_eq!(
                fitted(input, chunk, 8, Overlong::Cut),
                [line(1, "ab", 0), line(2, "abcdefg", 6), line(3, "abcdefgh", 0), line(4, "", 0)],
                "in chunks of {chunk}"
            );
        }
    }

    #[test]
    fn a_line_that_is_split_comes_in_whole_characters_however_it_arrives() {
        let input = "ab\nabcdefg€hi\r\nabcdefgh\nx".as_bytes();
        let pieces = [
            (1, "ab", false),
            (2, "abcdefg", true),
            (2, "€hi", false),
            (3, "abcdefgh", false),
            (4, "x", false),
        ];
        for chunk in 1..input.len() {
            let expected = pieces.map(|(number, text, goes_on)| Line { goes_on, ..line(number, text, 0) });
            assert_eq!(fitted(input, chunk, 8, Overlong::Split), expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_reported() {
        assert_eq!(text(b"caf\xc3\xa9".to_vec()), ("café".to_owned(), false));
        assert_eq!(text(b"caf\xe9!".to_vec()), ("caf\u{fffd}!".to_owned(), true));
    }
}
