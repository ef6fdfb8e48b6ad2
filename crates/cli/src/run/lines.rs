//! Bytes into numbered lines, over both outputs. Pure: time is an argument.
//!
//! A line ends with LF or CRLF. A CR within it begins its text anew, as on a terminal: of a progress bar there is its last
//! state. What has not ended is told once it is a second old, and then at most once a second.

use std::time::Duration;

use tokio::time::Instant;

use super::clock::Now;
use super::record::{Record, Stream};

/// How long a line that has not ended waits until it is told.
pub(super) const PARTIAL_AFTER: Duration = Duration::from_secs(1);

/// Takes each record.
pub(super) type Sink<'a> = dyn FnMut(&Record<'_>) + 'a;

/// The lines that are open, one for each output.
#[derive(Debug)]
pub(super) struct Lines {
    open: [Open; 2],
    /// Numbers given so far.
    numbered: u64,
    /// Bytes that are kept of a line.
    bytes_max: usize,
}

/// A line without an end. Empty as long as it has no number.
#[derive(Debug, Default)]
struct Open {
    number: Option<u64>,
    at_ms: u64,
    text: Vec<u8>,
    /// Bytes of the text, also those that are not kept.
    bytes: u64,
    /// A CR came last: LF ends the line, anything else begins its text anew.
    is_returned: bool,
    /// Whether there is something that was not told.
    is_untold: bool,
    /// Not told before.
    told_after: Option<Instant>,
}

impl Lines {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { open: [Open::default(), Open::default()], numbered: 0, bytes_max }
    }

    /// Keeps less of the lines that come.
    pub(super) fn lower(&mut self, bytes_max: usize) {
        self.bytes_max = self.bytes_max.min(bytes_max);
    }

    /// More bytes of an output.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8], now: Now, sink: &mut Sink<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest);
            self.extend(stream, &rest[..end.unwrap_or(rest.len())], now);
            let Some(end) = end else { return };
            if rest[end] == b'\n' {
                self.end(stream, now, sink);
            } else {
                let open = self.begin(stream, now);
                open.is_returned = true;
            }
            rest = &rest[end + 1..];
        }
    }

    /// The line of an output ends, if with nothing in it.
    pub(super) fn end(&mut self, stream: Stream, now: Now, sink: &mut Sink<'_>) {
        self.begin(stream, now).tell(stream, false, sink);
        let mut text = std::mem::take(&mut self.open[stream.index()].text);
        text.clear();
        self.open[stream.index()] = Open { text, ..Open::default() };
    }

    /// Nothing more comes: what is open ends.
    pub(super) fn finish(&mut self, now: Now, sink: &mut Sink<'_>) {
        let mut open: Vec<_> = Stream::BOTH
            .into_iter()
            .filter_map(|stream| Some((self.open[stream.index()].number?, stream)))
            .collect();
        open.sort_unstable_by_key(|(number, _)| *number);
        for (_, stream) in open {
            self.end(stream, now, sink);
        }
    }

    /// Tells what is due.
    pub(super) fn tell(&mut self, now: Now, sink: &mut Sink<'_>) {
        for stream in Stream::BOTH {
            let open = &mut self.open[stream.index()];
            if open.due().is_some_and(|due| due <= now.instant) {
                open.tell(stream, true, sink);
                open.is_untold = false;
                open.told_after = Some(now.instant + PARTIAL_AFTER);
            }
        }
    }

    fn begin(&mut self, stream: Stream, now: Now) -> &mut Open {
        let open = &mut self.open[stream.index()];
        if open.number.is_none() {
            self.numbered += 1;
            open.number = Some(self.numbered);
            open.at_ms = now.wall_ms;
            open.told_after = Some(now.instant + PARTIAL_AFTER);
        }
        open
    }

    fn extend(&mut self, stream: Stream, text: &[u8], now: Now) {
        if text.is_empty() {
            return;
        }
        let bytes_max = self.bytes_max;
        let open = self.begin(stream, now);
        if std::mem::take(&mut open.is_returned) {
            open.text.clear();
            open.bytes = 0;
        }
        let room = bytes_max.saturating_sub(open.text.len());
        open.text.extend_from_slice(&text[..text.len().min(room)]);
        open.bytes += text.len() as u64;
        open.is_untold = true;
    }
}

impl Open {
    fn due(&self) -> Option<Instant> {
        self.told_after.filter(|_| self.is_untold)
    }

    fn tell(&self, stream: Stream, is_partial: bool, sink: &mut Sink<'_>) {
        let Some(line) = self.number else { return };
        // The rest of a character is on its way, or was not kept.
        let is_cut = self.bytes > self.text.len() as u64;
        let whole = if is_partial || is_cut { whole_characters(&self.text) } else { self.text.len() };
        if is_partial && whole == 0 {
            return;
        }
        let text = &self.text[..whole];
        let bytes = if is_cut { self.bytes } else { whole as u64 };
        sink(&Record { line, stream, at_ms: self.at_ms, is_partial, text, bytes });
    }
}

/// Where bytes can be cut so that no character of UTF-8 that was cut off in the middle is left at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    // A character has up to four bytes: one that is not complete begins in the last three.
    for begin in (bytes.len().saturating_sub(3)..bytes.len()).rev() {
        if !matches!(bytes[begin], 0x80..=0xbf) {
            let is_cut = str::from_utf8(&bytes[begin..]).is_err_and(|error| error.error_len().is_none());
            return if is_cut { begin } else { bytes.len() };
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};

    /// Number, stream, whether it is partial, text, bytes.
    type Seen = (u64, Stream, bool, String, u64);

    struct Test {
        lines: Lines,
        now: Now,
        seen: Vec<Seen>,
    }

    impl Test {
        fn new(bytes_max: usize) -> Self {
            Self { lines: Lines::new(bytes_max), now: Now::read(), seen: Vec::new() }
        }

        fn with(&mut self, act: impl FnOnce(&mut Lines, Now, &mut Sink<'_>)) -> Vec<Seen> {
            let seen = &mut self.seen;
            act(&mut self.lines, self.now, &mut |record| {
                let text = String::from_utf8_lossy(record.text).into_owned();
                seen.push((record.line, record.stream, record.is_partial, text, record.bytes));
            });
            std::mem::take(&mut self.seen)
        }

        fn push(&mut self, stream: Stream, bytes: &[u8]) -> Vec<Seen> {
            self.with(|lines, now, sink| lines.push(stream, bytes, now, sink))
        }

        fn after(&mut self, ms: u64) -> Vec<Seen> {
            self.now.instant += Duration::from_millis(ms);
            self.with(|lines, now, sink| lines.tell(now, sink))
        }

        fn finish(&mut self) -> Vec<Seen> {
            self.with(|lines, now, sink| lines.finish(now, sink))
        }
    }

    fn whole(line: u64, stream: Stream, text: &str) -> Seen {
        (line, stream, false, text.to_owned(), text.len() as u64)
    }

    fn partial(line: u64, stream: Stream, text: &str) -> Seen {
        (line, stream, true, text.to_owned(), text.len() as u64)
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let input = "a\r\n\n€ \0\r\r\n10%\r20%\rdone\nlast".as_bytes();
        for size in 1..=input.len() {
            let mut test = Test::new(100);
            let mut seen: Vec<Seen> = input.chunks(size).flat_map(|piece| test.push(Stdout, piece)).collect();
            seen.extend(test.finish());
            let texts = ["a", "", "€ \0", "done", "last"];
            let expected: Vec<Seen> = texts.iter().zip(1..).map(|(text, n)| whole(n, Stdout, text)).collect();
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn both_outputs_share_the_numbers_and_keep_their_lines_apart() {
        let mut test = Test::new(100);
        assert_eq!(test.push(Stdout, b"out"), []);
        assert_eq!(test.push(Stderr, b"err\n"), [whole(2, Stderr, "err")]);
        assert_eq!(test.push(Stdout, b"put\n"), [whole(1, Stdout, "output")]);
        test.push(Stderr, b"3");
        test.push(Stdout, b"4");
        assert_eq!(test.finish(), [whole(3, Stderr, "3"), whole(4, Stdout, "4")]);
        assert_eq!(test.finish(), []);
    }

    #[test]
    fn a_line_without_an_end_is_told_after_a_second_and_then_at_most_once_a_second() {
        let mut test = Test::new(100);
        test.push(Stdout, b"Password: ");
        assert_eq!(test.after(999), []);
        assert_eq!(test.after(1), [partial(1, Stdout, "Password: ")]);
        assert_eq!(test.after(5000), [], "nothing new");
        for percent in 0..10 {
            test.push(Stderr, format!("\r{percent}%").as_bytes());
            test.now.instant += Duration::from_millis(100);
        }
        assert_eq!(test.after(0), [partial(2, Stderr, "9%")], "the last state");
        test.push(Stderr, b"\r10%");
        assert_eq!(test.after(900), []);
        test.push(Stderr, b"\r11%\r");
        assert_eq!(test.after(100), [partial(2, Stderr, "11%")]);
        assert_eq!(test.push(Stderr, b"\n"), [whole(2, Stderr, "11%")]);
        assert_eq!(test.push(Stdout, b"ok\n"), [whole(1, Stdout, "Password: ok")]);
        assert_eq!(test.after(5000), []);
    }

    #[test]
    fn a_character_that_is_only_half_there_is_not_told_before_it_is_whole() {
        let mut test = Test::new(100);
        test.push(Stdout, b"a\xe2\x82");
        assert_eq!(test.after(1000), [partial(1, Stdout, "a")]);
        assert_eq!(test.push(Stdout, b"\xac\n"), [whole(1, Stdout, "a€")]);
    }

    #[test]
    fn no_more_is_kept_of_a_line_than_may_be_sent_and_its_length_is_known() {
        let mut test = Test::new(8);
        for _ in 0..100 {
            test.push(Stdout, "€€€".as_bytes());
        }
        assert!(test.lines.open[0].text.capacity() <= 64);
        assert_eq!(test.push(Stdout, b"\n"), [(1, Stdout, false, "€€".to_owned(), 900)]);
        assert_eq!(test.push(Stdout, b"xxxxxxxxxxxx\rshort\n"), [whole(2, Stdout, "short")]);
    }

    #[test]
    fn a_character_is_never_left_half() {
        let text = "aü€😀";
        for end in 0..=text.len() {
            assert_eq!(whole_characters(&text.as_bytes()[..end]), text.floor_char_boundary(end), "{end}");
        }
        for no_utf8 in [&b"\xff\xff\xff\xff"[..], b"a\x80\x80\x80\x80", b"\xe9!"] {
            assert_eq!(whole_characters(no_utf8), no_utf8.len(), "is not cut for it");
        }
    }
}
