//! A stream of Redis as the source of a log: its last entries, then those that come, each once, whoever was away meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use redis::Value;
use serde_json::{Map, json};
use watertight::{Feed, Source, SourceError};

use super::batch::Batch;
use super::end::End;
use super::{Counts, Limits};
use crate::redis::{EntryId, Payload, Redis, StreamEntry, StreamItem, StreamStart};

/// Fields that have the line in them, the first that there is.
const LINE_FIELDS: [&[u8]; 4] = [b"line", b"data", b"message", b"log"];

pub(super) struct StreamLogs {
    redis: Redis,
    key: String,
    limits: Limits,
    counts: Arc<Counts>,
    /// The last entry that is in the log: the next run goes on behind it.
    last: Mutex<Option<EntryId>>,
    /// Readers were told how much came before the history.
    has_told_earlier: AtomicBool,
}

impl StreamLogs {
    pub(super) fn new(redis: Redis, key: String, limits: Limits, counts: Arc<Counts>) -> StreamLogs {
        StreamLogs {
            redis,
            key,
            limits,
            counts,
            last: Mutex::new(None),
            has_told_earlier: AtomicBool::new(false),
        }
    }

    fn went_to(&self, entry: Option<EntryId>) {
        if entry.is_some() {
            *self.last.lock() = entry;
        }
    }
}

impl Source for StreamLogs {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let last = *self.last.lock();
        let start = last.map_or(StreamStart::Last(self.limits.history), StreamStart::After);
        if last.is_none()
            && !self.has_told_earlier.load(Ordering::Relaxed)
            && let Some(entries) = length(&self.redis, &self.key).await
            && let Some(earlier) = entries.checked_sub(self.limits.history as u64).filter(|it| *it > 0)
        {
            // There is more in the stream than a log holds.
            feed.gap(Some(earlier))?;
            self.has_told_earlier.store(true, Ordering::Relaxed);
        }
        let mut entries = self.redis.streams().open(&self.key, start).map_err(SourceError::new)?;
        let mut batch = Batch::new(self.limits, &self.counts)?;
        let mut gathered = None;
        loop {
            let item = match entries.next().now_or_never() {
                Some(item) => item,
                None => {
                    batch.append(&feed, || self.went_to(gathered)).await?;
                    entries.next().await
                }
            };
            let end = match &item {
                StreamItem::Entry(entry) => end_of(entry),
                _ => None,
            };
            if batch.is_full() || end.is_some() || !matches!(item, StreamItem::Entry(_)) {
                batch.append(&feed, || self.went_to(gathered)).await?;
            }
            if let Some(end) = end {
                feed.end(Some(end.event()?))?;
                return Ok(());
            }
            match item {
                StreamItem::Entry(entry) => {
                    push(&mut batch, &entry);
                    gathered = Some(entry.id);
                }
                StreamItem::Missing(count) => feed.gap(count)?,
                StreamItem::Waiting(why) => feed.waiting(&why),
                StreamItem::Reading => feed.succeeded(),
            }
        }
    }
}

/// The value of a field.
fn field<'a>(entry: &'a StreamEntry, name: &[u8]) -> Option<&'a Payload> {
    entry.fields.iter().find(|(known, _)| known.bytes == name).map(|(_, value)| value)
}

/// The end that an entry says: the field `event` is `end`.
fn end_of(entry: &StreamEntry) -> Option<End> {
    if field(entry, b"event")?.bytes != b"end"[..] {
        return None;
    }
    let text = |name: &[u8]| field(entry, name).and_then(|value| str::from_utf8(&value.bytes).ok());
    let exit_code = text(b"exit_code").or_else(|| text(b"exitCode"));
    let ended_at = text(b"ended_at").or_else(|| text(b"endedAt"));
    Some(End {
        exit_code: exit_code.and_then(|text| text.trim().parse().ok()),
        ended_at: ended_at.and_then(|text| text.trim().parse().ok()),
    })
}

/// Adds the line of an entry: a field that is known to have it, or the only one. All fields as JSON, if there are others.
fn push(batch: &mut Batch, entry: &StreamEntry) {
    let known = LINE_FIELDS.iter().find_map(|name| field(entry, name));
    let only = || match entry.fields.as_slice() {
        [(_, value)] if entry.fields_left_out == 0 => Some(value),
        _ => None,
    };
    match known.or_else(only) {
        Some(line) => batch.push(line),
        None => batch.push_text(all_of(entry)),
    }
}

/// An entry with other fields, as JSON.
fn all_of(entry: &StreamEntry) -> String {
    let text = |payload: &Payload| String::from_utf8_lossy(&payload.bytes).into_owned();
    let mut fields: Map<_, _> =
        entry.fields.iter().map(|(name, value)| (text(name), json!(text(value)))).collect();
    if entry.fields_left_out > 0 {
        fields.insert("fieldsLeftOut".to_owned(), json!(entry.fields_left_out));
    }
    serde_json::Value::Object(fields).to_string()
}

/// How many entries a stream has; `None`: Redis does not say.
pub(super) async fn length(redis: &Redis, key: &str) -> Option<u64> {
    let mut command = redis::cmd("XLEN");
    command.arg(key);
    match redis.command(&command).await {
        Ok(Value::Int(entries)) => u64::try_from(entries).ok(),
        _ => None,
    }
}

/// Whether the deployment of a stream is over: its last entry is an end. One that is not there (any more) is. `None`: Redis
/// does not say.
pub(super) async fn is_over(redis: &Redis, key: &str) -> Option<bool> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
    let Ok(Value::Array(entries)) = redis.command(&command).await else { return None };
    let Some(Value::Array(entry)) = entries.into_iter().next() else { return Some(true) };
    let Some(Value::Array(fields)) = entry.into_iter().nth(1) else { return None };
    let texts: Vec<&[u8]> = fields
        .iter()
        .map(|value| match value {
            Value::BulkString(bytes) => &bytes[..],
            _ => &[][..],
        })
        .collect();
    let (pairs, _) = texts.as_chunks::<2>();
    Some(pairs.iter().any(|[name, value]| *name == b"event" && *value == b"end"))
}
