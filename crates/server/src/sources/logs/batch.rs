//! Lines on their way into the log: gathered while more are there, appended together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use watertight::event::EventType;
use watertight::{Event, Feed, FeedError, SourceError};

use super::{Counts, Limits};
use crate::publishing::lines;
use crate::redis::Payload;

/// Bytes of lines that are appended at once, at most, but for a single larger line.
const BATCH_BYTES: usize = 256 * 1024;

/// Lines that are to be appended together.
pub(super) struct Batch {
    limits: Limits,
    counts: Arc<Counts>,
    log: EventType,
    events: Vec<Event>,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(limits: Limits, counts: &Arc<Counts>) -> Result<Batch, SourceError> {
        let log = EventType::new("log").map_err(SourceError::new)?;
        Ok(Batch { limits, counts: Arc::clone(counts), log, events: Vec::new(), bytes: 0 })
    }

    /// Adds a line as it came; one that is too long is cut and marked.
    pub(super) fn push(&mut self, line: &Payload) {
        // A line end behind the line is none of it.
        let bytes = line.bytes.strip_suffix(b"\n").unwrap_or(&line.bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let whole = usize::try_from(line.whole_bytes).unwrap_or(usize::MAX);
        let whole = if line.is_cut() { whole } else { bytes.len() };
        let (text, is_cut) = lines::text_of(bytes, whole, self.limits.max_event_bytes);
        self.counts.cut.fetch_add(u64::from(is_cut), Ordering::Relaxed);
        self.push_text(text);
    }

    pub(super) fn push_text(&mut self, text: String) {
        self.bytes += text.len();
        self.events.push(Event::of_type(self.log.clone(), text));
    }

    /// Whether what is gathered is to be appended before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= self.limits.batch || self.bytes >= BATCH_BYTES
    }

    /// Appends what was gathered, says so by `appended` in the very moment it is in the log, and waits for readers.
    pub(super) async fn append(&mut self, feed: &Feed, appended: impl FnOnce()) -> Result<(), FeedError> {
        if self.events.is_empty() {
            return Ok(());
        }
        let fed = feed.append_batch(&self.events).await?;
        appended();
        self.counts.lines.fetch_add(self.events.len() as u64, Ordering::Relaxed);
        self.events.clear();
        self.bytes = 0;
        fed.paced().await;
        Ok(())
    }
}
