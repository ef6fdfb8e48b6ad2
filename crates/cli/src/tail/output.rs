//! How events look on standard output. Pure but for the writer; knows no hub.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use watertight_client::{Event, Gap};

/// Bytes gathered before a write, unless flushed sooner.
const BUFFER_BYTES: usize = 64 * 1024;

/// Prints events as text or as JSON.
pub(super) struct Output<W: Write> {
    to: BufWriter<W>,
    json: bool,
}

#[derive(Serialize)]
struct EventLine<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct GapLine<'a> {
    gap: &'a Gap,
}

impl<W: Write> Output<W> {
    pub(super) fn new(to: W, json: bool) -> Self {
        Self { to: BufWriter::with_capacity(BUFFER_BYTES, to), json }
    }

    /// The data and a line feed, or one JSON object.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        if self.json {
            let Event { id, event_type, data, .. } = event;
            return self.line(&EventLine { id, event_type, data });
        }
        self.to.write_all(event.data.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// One JSON object.
    pub(super) fn gap(&mut self, gap: &Gap) -> io::Result<()> {
        self.line(&GapLine { gap })
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool) -> String {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, json);
        for data in ["one", "", "two\nlines"] {
            let event = Event::new("7-1", "message", data);
            output.event(&event).unwrap();
        }
        output.flush().unwrap();
        drop(output);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_the_data_and_a_line_feed() {
        assert_eq!(printed(false), "one\n\ntwo\nlines\n");
    }

    #[test]
    fn json_is_one_object_per_line() {
        let expected = r#"{"id":"7-1","type":"message","data":"one"}
{"id":"7-1","type":"message","data":""}
{"id":"7-1","type":"message","data":"two\nlines"}
"#;
        assert_eq!(printed(true), expected);
    }

    #[test]
    fn a_gap_in_json_says_all_that_the_hub_said() {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, true);
        let mut gap = Gap::new("lagged");
        (gap.to, gap.missed) = (Some("7-9".into()), Some(4));
        output.gap(&gap).unwrap();
        output.flush().unwrap();
        drop(output);
        let expected = "{\"gap\":{\"from\":null,\"to\":\"7-9\",\"missed\":4,\"reason\":\"lagged\"}}\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
