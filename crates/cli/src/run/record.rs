//! One line of a deployment's log as JSON, and lines that must become shorter. Pure.

use std::fmt::Write as _;

use serde_json::Value;

/// Which of the command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) const BOTH: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// A line, or what there is of one that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its number in the whole output, from 1.
    pub(super) line: u64,
    pub(super) stream: Stream,
    /// When its first byte was read, milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    /// It has not ended.
    pub(super) is_partial: bool,
    pub(super) text: &'a [u8],
    /// How many bytes it has; more than `text` if that is its beginning only.
    pub(super) bytes: u64,
}

/// The least that a record may be limited to: room for everything beside its text.
pub(super) const RECORD_BYTES_MIN: usize = 512;

/// What is not known before the text is looked at: `,"cut":18446744073709551615`.
const CUT_BYTES: usize = 32;

impl Record<'_> {
    /// Appends it as one line of JSON, line feed included, of at most `max_bytes`: of a longer one only its beginning,
    /// marked with `cut`.
    pub(super) fn encode(&self, max_bytes: usize, out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(self.text);
        let mut head = format!(
            r#"{{"line":{},"stream":"{}","at":{}"#,
            self.line,
            self.stream.name(),
            seconds(self.at_ms)
        );
        if self.is_partial {
            head.push_str(r#","partial":true"#);
        }
        let room = max_bytes.saturating_sub(head.len() + CUT_BYTES + r#","text":""}"#.len() + 1);
        let kept = fitting(&text, room);
        if kept.len() < text.len() || self.bytes > self.text.len() as u64 {
            // Writing to a String cannot fail.
            let _ = write!(head, r#","cut":{}"#, self.bytes);
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(br#","text":"#);
        json_text(kept, out);
        out.extend_from_slice(b"}\n");
    }
}

/// What stands in the log where lines are missing. It is no line of the output and has no number.
pub(super) fn missing(lines: u64, at_ms: u64, out: &mut Vec<u8>) {
    let (noun, verb) = if lines == 1 { ("line", "is") } else { ("lines", "are") };
    let text = format!(
        "[watertight: {lines} {noun} of the output {verb} missing here; the spool was full before the hub took them]"
    );
    note(&text, &format!(r#","missing":{lines}"#), at_ms, out);
}

/// What stands in the log of a command without output: without it, a log that had ended would not begin anew.
pub(super) fn silent(at_ms: u64, out: &mut Vec<u8>) {
    note("[watertight: the command printed nothing]", "", at_ms, out);
}

fn note(text: &str, more: &str, at_ms: u64, out: &mut Vec<u8>) {
    let head = format!(r#"{{"stream":"watertight","at":{}{more},"text":"#, seconds(at_ms));
    out.extend_from_slice(head.as_bytes());
    json_text(text, out);
    out.extend_from_slice(b"}\n");
}

/// Whether a record is a whole line: what is lost with it is counted.
pub(super) fn is_whole(record: &[u8]) -> bool {
    let head = memchr::memmem::find(record, br#","text":"#).map_or(record, |at| &record[..at]);
    memchr::memmem::find(head, br#","partial":true"#).is_none()
}

/// The same record in at most `max_bytes`, its text cut; `None` if it cannot be had.
pub(super) fn shorten(record: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(record).ok()?;
    let text = value["text"].as_str()?;
    let stream = if value["stream"] == "stderr" { Stream::Stderr } else { Stream::Stdout };
    let shorter = Record {
        line: value["line"].as_u64()?,
        stream,
        at_ms: (value["at"].as_f64()? * 1e3).round() as u64,
        is_partial: value["partial"] == true,
        text: text.as_bytes(),
        bytes: value["cut"].as_u64().unwrap_or(text.len() as u64),
    };
    let mut out = Vec::new();
    shorter.encode(max_bytes, &mut out);
    (out.len() <= max_bytes).then_some(out)
}

/// Seconds with milliseconds, as JSON writes them.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// The beginning of a text that takes at most `room` bytes as JSON, without the quotes.
fn fitting(text: &str, room: usize) -> &str {
    // No character takes more than six times its bytes.
    if text.len() <= room / 6 {
        return text;
    }
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if taken > room {
            return &text[..at];
        }
    }
    text
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, and every text has a JSON form.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Record<'_> = Record {
        line: 17,
        stream: Stream::Stderr,
        at_ms: 1_764_185_513_007,
        is_partial: false,
        text: b"",
        bytes: 0,
    };

    fn encoded(record: Record<'_>, max_bytes: usize) -> Value {
        let mut out = Vec::new();
        record.encode(max_bytes, &mut out);
        assert!(out.len() <= max_bytes && out.ends_with(b"}\n"), "{}", String::from_utf8_lossy(&out));
        assert_eq!(memchr::memchr_iter(b'\n', &out).count(), 1);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_is_the_agreed_json() {
        let line = Record { text: b"a \"b\"\\\x1b[1m\0\xff", bytes: 12, ..LINE };
        let expected = serde_json::json!({
            "line": 17, "stream": "stderr", "at": 1_764_185_513.007, "text": "a \"b\"\\\u{1b}[1m\0\u{fffd}"
        });
        assert_eq!(encoded(line, 1000), expected);
        let partial = encoded(Record { is_partial: true, ..line }, 1000);
        assert_eq!(partial["partial"], true);
    }

    #[test]
    fn a_line_that_does_not_fit_is_cut_at_a_character_and_says_how_long_it_was() {
        for text in ["x".repeat(5000), "ü€😀".repeat(600), "\u{1}".repeat(5000), "\"".repeat(5000)] {
            for max_bytes in RECORD_BYTES_MIN..RECORD_BYTES_MIN + 20 {
                let line = Record { text: text.as_bytes(), bytes: text.len() as u64, ..LINE };
                let cut = encoded(line, max_bytes);
                assert_eq!(cut["cut"], text.len());
                let kept = cut["text"].as_str().unwrap();
                assert!(text.starts_with(kept) && kept.len() > 40, "{kept}");
            }
        }
    }

    #[test]
    fn what_was_not_kept_of_a_line_counts() {
        assert_eq!(encoded(Record { text: b"beginning", bytes: 300_000, ..LINE }, 1000)["cut"], 300_000);
        assert_eq!(encoded(Record { text: b"whole", bytes: 5, ..LINE }, 1000).get("cut"), None);
    }

    #[test]
    fn a_record_can_be_made_shorter_and_still_says_how_long_its_line_was() {
        let text = "y".repeat(5000);
        let mut record = Vec::new();
        Record { text: text.as_bytes(), bytes: 9000, is_partial: true, ..LINE }.encode(4000, &mut record);
        let short: Value = serde_json::from_slice(&shorten(&record, 600).unwrap()).unwrap();
        assert_eq!(
            (&short["cut"], &short["line"], &short["partial"]),
            (&9000.into(), &17.into(), &true.into())
        );
        assert_eq!(short["at"], 1_764_185_513.007);
        assert_eq!(shorten(&record, 50), None);
    }

    #[test]
    fn only_whole_lines_count_whatever_their_text_says() {
        let mut record = Vec::new();
        Record { text: br#"","partial":true"#, bytes: 16, ..LINE }.encode(1000, &mut record);
        assert!(is_whole(&record));
        record.clear();
        Record { is_partial: true, ..LINE }.encode(1000, &mut record);
        assert!(!is_whole(&record));
    }
}
