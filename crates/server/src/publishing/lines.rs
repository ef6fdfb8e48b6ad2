//! From a body to lines of a log: one event for each, of type `log`. A line is never refused for what stands in it: one
//! that is too long is cut and marked, bytes that are no text become U+FFFD.

use std::borrow::Cow;

use serde_json::value::RawValue;
use watertight::Event;
use watertight::event::EventType;

use super::events::Posted;
use crate::problem::Problem;

/// Where a line ends that is too long, with how long it was: the same mark as `watertight publish` makes.
fn cut(line: &str, max_bytes: usize) -> Cow<'_, str> {
    if line.len() <= max_bytes {
        return line.into();
    }
    let mark = format!("… [cut: {} bytes]", line.len());
    let kept = line.floor_char_boundary(max_bytes.saturating_sub(mark.len()));
    format!("{}{mark}", &line[..kept]).into()
}

/// The lines of a body: each ends with LF or CRLF, the last one may end without.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]);
    let lines = ends.scan(0, |start, end| Some(&bytes[std::mem::replace(start, end + 1)..end]));
    let last = bytes.len();
    lines
        .scan(0, move |at, line| {
            let begun = std::mem::replace(at, *at + line.len() + 1);
            // Behind the last line end there is nothing, not an empty line.
            (begun < last).then_some(line)
        })
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// How many lines a body has, at most.
pub(crate) fn most_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count() + 1
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
        expect_room(events.len(), max_lines)?;
        let text = String::from_utf8_lossy(line);
        events.push(Event::of_type(log.clone(), cut(&text, max_bytes).into_owned()));
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
    for line in lines(bytes).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let index = events.len();
        expect_room(index, max_lines)?;
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

fn expect_room(lines: usize, max_lines: usize) -> Result<(), Problem> {
    if lines < max_lines {
        return Ok(());
    }
    Err(Problem::too_large("TOO_MANY_EVENTS", format!("at most {max_lines} lines are taken at once")))
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
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_at_a_character_and_says_how_long_it_was() {
        let line = "ä".repeat(100);
        let cut = texts(line.as_bytes(), 64);
        assert!(cut[0].len() <= 64, "{cut:?}");
        assert!(cut[0].starts_with("ää") && cut[0].ends_with("… [cut: 200 bytes]"), "{cut:?}");
        assert_eq!(texts(line.as_bytes(), 200), [line]);
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
