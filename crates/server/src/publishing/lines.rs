//! From a body to lines of a log: one event for each, of type `log`. A line is never refused for what stands in it: one
//! that is too long is cut and marked, bytes that are no text become U+FFFD.

use serde_json::value::RawValue;
use watertight::Event;
use watertight::event::EventType;

use super::events::{self, Posted, too_many};
use crate::problem::Problem;

/// A line as text.
fn text(line: &[u8], max_bytes: usize) -> String {
    text_of(line, line.len(), max_bytes).0
}

/// A line of `whole_bytes`, of which these bytes are there, as text. One that is too long is cut, with how long it was at
/// its end: the same mark as `watertight publish` makes; then `true`. Cut before it is decoded, so that nothing is held of
/// what goes.
pub(crate) fn text_of(line: &[u8], whole_bytes: usize, max_bytes: usize) -> (String, bool) {
    let decoded = |line| String::from_utf8_lossy(line);
    let is_there = line.len() <= max_bytes && whole_bytes <= line.len();
    let whole = is_there.then(|| decoded(line)).filter(|text| text.len() <= max_bytes);
    if let Some(text) = whole {
        return (text.into_owned(), false);
    }
    let mark = format!("… [cut: {whole_bytes} bytes]");
    let room = max_bytes.saturating_sub(mark.len());
    let text = decoded(&line[..line.len().min(room + LONGEST_CHARACTER)]);
    (format!("{}{mark}", &text[..text.floor_char_boundary(room)]), true)
}

/// A character of UTF-8 has at most so many bytes.
const LONGEST_CHARACTER: usize = 4;

/// The lines of a body: each ends with LF or CRLF, the last one may end without.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Behind the last line end there is nothing, not an empty line.
    let mut lines = events::lines(bytes).peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let is_rest = lines.peek().is_none() && line.is_empty();
        (!is_rest).then(|| line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// How many lines a body has, at most.
pub(crate) fn most_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count() + 1
}

/// What the lines of a text can come to, bytes: what is no UTF-8 becomes U+FFFD, three bytes for one.
pub(crate) fn most_bytes(bytes: &[u8]) -> usize {
    if str::from_utf8(bytes).is_ok() { bytes.len() } else { 3 * bytes.len() }
}

/// `text/plain`: each line as it is, empty ones too.
pub(crate) fn from_text(
    bytes: &[u8],
    log: &EventType,
    max_lines: usize,
    max_bytes: usize,
) -> Result<Posted, Problem> {
    let mut events = Vec::new();
    for line in lines(bytes) {
        if events.len() == max_lines {
            return Err(too_many(max_lines));
        }
        events.push(Event::of_type(log.clone(), text(line, max_bytes)));
    }
    Ok(Posted::Many(events))
}

/// `application/x-ndjson`: any JSON in each line, carried unchanged; empty lines are passed over.
pub(crate) fn from_ndjson(
    bytes: &[u8],
    log: &EventType,
    max_lines: usize,
    max_bytes: usize,
) -> Result<Posted, Problem> {
    let mut events = Vec::new();
    for line in events::lines(bytes).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let index = events.len();
        if index == max_lines {
            return Err(too_many(max_lines));
        }
        let json: &RawValue = serde_json::from_slice(line)
            .map_err(|error| Problem::bad_request("MALFORMED_JSON", error.to_string()).at(index))?;
        if json.get().len() > max_bytes {
            let detail = format!("a line may have at most {max_bytes} bytes; JSON cannot be cut");
            return Err(Problem::too_large("EVENT_TOO_LARGE", detail).at(index));
        }
        events.push(Event::of_type(log.clone(), json.get()));
    }
    Ok(Posted::Many(events))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8], max_bytes: usize) -> Vec<String> {
        let log = EventType::new("log").unwrap();
        let posted = from_text(bytes, &log, 100, max_bytes).unwrap();
        posted.events().iter().map(|event| event.data.to_string()).collect()
    }

    #[test]
    fn lines_are_what_stands_between_line_ends() {
        assert_eq!(texts(b"a\nb\r\n\nc", 100), ["a", "b", "", "c"]);
        assert_eq!(texts(b"a\n", 100), ["a"]);
        assert_eq!(texts(b"\n", 100), [""]);
        assert!(texts(b"", 100).is_empty());
        assert_eq!(texts(b"a\xffb", 100), ["a\u{fffd}b"]);
        assert_eq!(texts(b"\xef\xbb\xbfa\nb", 100), ["a", "b"], "a byte order mark is no part of the text");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_at_a_character_and_says_how_long_it_was() {
        let line = "ä".repeat(100);
        let cut = texts(line.as_bytes(), 64);
        assert!(cut[0].len() <= 64, "{cut:?}");
        assert!(cut[0].starts_with("ää") && cut[0].ends_with("… [cut: 200 bytes]"), "{cut:?}");
        assert_eq!(texts(line.as_bytes(), 200), [line]);
        // What is no text grows as it is decoded: it is cut by what it comes to, and says what came.
        let cut = texts(&[0xff; 50], 64);
        assert!(cut[0].len() <= 64 && cut[0].ends_with("… [cut: 50 bytes]"), "{cut:?}");
    }

    #[test]
    fn json_lines_are_carried_unchanged_and_a_bad_one_refuses_all() {
        let log = EventType::new("log").unwrap();
        let posted = from_ndjson(b"{\"a\": 1}\n\n\"x\"\n", &log, 10, 100).unwrap();
        let data: Vec<&str> = posted.events().iter().map(|event| &*event.data).collect();
        assert_eq!(data, ["{\"a\": 1}", "\"x\""]);
        assert_eq!(from_ndjson(b"1\n{", &log, 10, 100).unwrap_err().code(), "MALFORMED_JSON");
        assert_eq!(from_ndjson(b"1\n2\n3", &log, 2, 100).unwrap_err().code(), "TOO_MANY_EVENTS");
    }
}
