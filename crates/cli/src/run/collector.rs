//! From the bytes of both outputs to the spool: decoded, cut into lines, numbered. Shared by the threads that read the
//! outputs and by whoever sends; nobody holds it while waiting for anything but the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::clock::Now;
use super::container;
use super::decode::Decoder;
use super::lines::Lines;
use super::record::{Record, Stream};
use super::spool::Spool;

/// Longest record of a container runtime, bytes: they cut lines at 16 KiB, and JSON may need six bytes for one.
const CONTAINER_LINE_BYTES_MAX: usize = 1024 * 1024;

/// What the command's outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Text
    Plain,
    /// Records of a container runtime (containerd, CRI-O): TIME STREAM P|F TEXT
    Cri,
    /// Records of Docker: {"log":…,"stream":…,"time":…}
    Docker,
}

/// What there is to know of the lines, under one lock.
#[derive(Debug)]
pub(super) struct Collector {
    lines: Lines,
    outputs: [Output; 2],
    format: Format,
    /// Bytes of a record.
    record_bytes_max: usize,
    pub(super) spool: Spool,
    /// Scratch space.
    encoded: Vec<u8>,
}

/// One output of the command.
#[derive(Debug, Default)]
struct Output {
    decoder: Decoder,
    /// A record of a container runtime that has no end yet.
    begun: Vec<u8>,
    /// It is too long for one: its bytes pass as text until it ends.
    passes: bool,
    /// Scratch space.
    decoded: Vec<u8>,
}

/// The collector, and who is told that it has something to send. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    collector: Arc<Mutex<Collector>>,
    changed: Arc<Notify>,
}

impl Shared {
    pub(super) fn new(spool: Spool, format: Format, record_bytes_max: usize) -> Self {
        let collector = Collector {
            lines: Lines::new(record_bytes_max),
            outputs: [Output::default(), Output::default()],
            format,
            record_bytes_max,
            spool,
            encoded: Vec::new(),
        };
        Self { collector: Arc::new(Mutex::new(collector)), changed: Arc::new(Notify::new()) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Collector> {
        // A panic under the lock leaves lines that can still be sent.
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, writes it to disk and tells whoever sends.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Collector) -> T) -> T {
        let changed = {
            let mut collector = self.lock();
            let changed = change(&mut collector);
            collector.spool.commit();
            changed
        };
        self.changed.notify_one();
        changed
    }

    /// Tells of lines without an end, if there are any; to be called ten times a second.
    pub(super) fn tell(&self, now: Now) {
        {
            let mut collector = self.lock();
            collector.with_lines(|lines, sink| lines.tell(now, sink));
            if !collector.spool.commit_if_changed() {
                return;
            }
        }
        self.changed.notify_one();
    }

    /// Waits until something was changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The spool, once nobody else has it.
    pub(super) fn into_spool(self) -> Option<Spool> {
        let collector = Arc::into_inner(self.collector)?;
        Some(collector.into_inner().unwrap_or_else(PoisonError::into_inner).spool)
    }
}

impl Collector {
    /// More bytes of an output.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8], now: Now) {
        if self.format == Format::Plain {
            let mut decoded = std::mem::take(&mut self.outputs[stream.index()].decoded);
            self.outputs[stream.index()].decoder.push(bytes, &mut decoded);
            self.text(stream, &decoded, now);
            decoded.clear();
            self.outputs[stream.index()].decoded = decoded;
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', piece)) => {
                    self.container_bytes(stream, piece, now);
                    self.container_end(stream, now);
                }
                _ => self.container_bytes(stream, piece, now),
            }
        }
    }

    /// Both outputs have ended.
    pub(super) fn finish(&mut self, now: Now) {
        for stream in Stream::BOTH {
            let mut decoded = Vec::new();
            self.outputs[stream.index()].decoder.finish(&mut decoded);
            self.text(stream, &decoded, now);
            let output = &self.outputs[stream.index()];
            if output.passes || !output.begun.is_empty() {
                self.container_end(stream, now);
            }
        }
        self.with_lines(|lines, sink| lines.finish(now, sink));
    }

    /// A line that the command did not write, but a shell in our place would have.
    pub(super) fn own_line(&mut self, text: &str, now: Now) {
        self.with_lines(|lines, sink| {
            lines.push(Stream::Stderr, text.as_bytes(), now, sink);
            lines.end(Stream::Stderr, now, sink);
        });
    }

    /// The hub takes shorter lines only.
    pub(super) fn lower(&mut self, record_bytes_max: usize) {
        self.record_bytes_max = self.record_bytes_max.min(record_bytes_max);
        self.lines.lower(record_bytes_max);
    }

    fn text(&mut self, stream: Stream, bytes: &[u8], now: Now) {
        self.with_lines(|lines, sink| lines.push(stream, bytes, now, sink));
    }

    fn container_bytes(&mut self, stream: Stream, bytes: &[u8], now: Now) {
        let output = &mut self.outputs[stream.index()];
        if !output.passes && output.begun.len() + bytes.len() <= CONTAINER_LINE_BYTES_MAX {
            output.begun.extend_from_slice(bytes);
            return;
        }
        output.passes = true;
        let begun = std::mem::take(&mut output.begun);
        self.text(stream, &begun, now);
        self.text(stream, bytes, now);
    }

    fn container_end(&mut self, stream: Stream, now: Now) {
        let output = &mut self.outputs[stream.index()];
        if std::mem::take(&mut output.passes) {
            return self.with_lines(|lines, sink| lines.end(stream, now, sink));
        }
        let mut record = std::mem::take(&mut output.begun);
        let line = record.strip_suffix(b"\r").unwrap_or(&record);
        let read = if self.format == Format::Cri { container::cri(line) } else { container::docker(line) };
        self.with_lines(|lines, sink| match read {
            Some(piece) => {
                let now = Now { wall_ms: piece.at_ms, ..now };
                lines.push(piece.stream, &piece.text, now, sink);
                if !piece.is_partial {
                    lines.end(piece.stream, now, sink);
                }
            }
            // Not of a container: a line like any other.
            None => {
                lines.push(stream, line, now, sink);
                lines.end(stream, now, sink);
            }
        });
        record.clear();
        self.outputs[stream.index()].begun = record;
    }

    fn with_lines<T>(&mut self, act: impl FnOnce(&mut Lines, &mut super::lines::Sink<'_>) -> T) -> T {
        let Self { lines, spool, encoded, record_bytes_max, .. } = self;
        act(lines, &mut |record: &Record<'_>| {
            encoded.clear();
            record.encode(*record_bytes_max, encoded);
            spool.append(encoded);
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn collected(format: Format, outputs: &[(Stream, &[u8])]) -> Vec<Value> {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path(), "http://hub", "1", 1 << 22).unwrap();
        let shared = Shared::new(spool, format, 100_000);
        for (stream, bytes) in outputs {
            shared.change(|collector| collector.push(*stream, bytes, Now::read()));
        }
        shared.change(|collector| collector.finish(Now::read()));
        let batch = shared.lock().spool.batch(1000, 1 << 22).unwrap();
        batch
            .records
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn texts(records: &[Value]) -> Vec<&str> {
        records.iter().map(|record| record["text"].as_str().unwrap()).collect()
    }

    #[test]
    fn records_of_a_container_runtime_are_joined_with_their_own_time_and_stream() {
        let part = "y".repeat(10_000);
        let t = "2016-10-06T00:17:09.669794202Z";
        let input = format!(
            "{t} stdout P {part}\n{t} stderr F other\n{t} stdout P {part}\n{t} stdout F end\nno record\n{t} stdout P open"
        );
        let records = collected(Format::Cri, &[(Stream::Stdout, input.as_bytes())]);
        let joined = format!("{part}{part}end");
        assert_eq!(texts(&records), ["other", &joined, "no record", "open"]);
        assert_eq!(
            (&records[0]["stream"], &records[0]["line"], &records[0]["at"]),
            (&json!("stderr"), &json!(2), &json!(1_475_713_029.669))
        );
        assert_eq!((&records[1]["stream"], &records[1]["line"]), (&json!("stdout"), &json!(1)));
    }

    #[test]
    fn a_line_that_docker_had_cut_in_parts_is_one_again() {
        let record = |log: &str, stream: &str| {
            json!({"log": log, "stream": stream, "time": "2016-10-06T00:17:09.669794202Z"}).to_string()
                + "\r\n"
        };
        let part = "z".repeat(16_000);
        let input = [
            record(&part, "stderr"),
            record("a\n", "stdout"),
            record(&part, "stderr"),
            record("€\n", "stderr"),
        ];
        let records = collected(Format::Docker, &[(Stream::Stdout, input.concat().as_bytes())]);
        assert_eq!(texts(&records), ["a", &format!("{part}{part}€")]);
    }

    #[test]
    fn what_is_too_long_for_a_record_of_a_runtime_is_a_line_and_what_follows_is_read() {
        let long = "x".repeat(CONTAINER_LINE_BYTES_MAX + 5);
        let input = format!("{long}\n2016-10-06T00:17:09Z stdout F after\n");
        let pieces: Vec<_> = input.as_bytes().chunks(70_000).map(|piece| (Stream::Stdout, piece)).collect();
        let records = collected(Format::Cri, &pieces);
        assert_eq!(records.len(), 2);
        assert_eq!((&records[0]["cut"], &records[1]["text"]), (&json!(long.len()), &json!("after")));
    }

    #[test]
    fn each_output_is_decoded_by_itself() {
        let utf16: Vec<u8> = "\u{feff}wörld\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let records = collected(
            Format::Plain,
            &[(Stream::Stdout, &utf16[..5]), (Stream::Stderr, b"\xffx\n"), (Stream::Stdout, &utf16[5..])],
        );
        assert_eq!(texts(&records), ["\u{fffd}x", "wörld"]);
    }
}
