//! What feeds `/deployments/{id}/logs/stream` from Redis: a channel, which has no history, or a stream, which has.
//!
//! | module | what it holds |
//! |---|---|
//! | `channel` | a channel: what is published while somebody watches |
//! | `stream` | a stream: its last entries, then those that come, each once |
//! | `batch` | lines on their way into the log |
//! | `end` | the end of a deployment: what it is in Redis, and whether it is over |

mod batch;
mod channel;
mod end;
mod stream;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watertight::{Hub, Resume, SourceHandle, SubscribeOptions};
use watertight_core::Piece;

use self::channel::ChannelLogs;
pub(crate) use self::end::End;
use self::stream::StreamLogs;
use crate::config::{Config, ID_IN_CHANNEL, LogsSource};
use crate::redis::Redis;
use crate::resource::ResourceId;

/// How long a newcomer that asks for the last lines waits for the history of a stream, at most.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(2);

/// Logs of deployments from Redis.
pub(crate) struct LogsFromRedis {
    redis: Redis,
    is_stream: bool,
    channel: String,
    limits: Limits,
    pub(crate) counts: Arc<Counts>,
}

/// What one line, and one stream's history, may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_event_bytes: usize,
    /// Lines of history that are read first.
    history: usize,
    /// Lines that are appended at once.
    batch: usize,
}

/// What is counted of lines from Redis.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Lines that were appended.
    lines: AtomicU64,
    /// Lines that were cut, because they are larger than an event may be.
    cut: AtomicU64,
    /// Lines that were dropped, because they came faster than they could be taken.
    dropped: AtomicU64,
}

impl Counts {
    /// Each with its name.
    pub(crate) fn all(&self) -> [(&'static str, &'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("redis_log_lines", "Lines of logs that came from Redis", read(&self.lines)),
            (
                "redis_log_lines_cut",
                "Lines of logs from Redis that were too long and were cut",
                read(&self.cut),
            ),
            (
                "redis_log_lines_dropped",
                "Lines of logs from Redis that came faster than they could be taken",
                read(&self.dropped),
            ),
        ]
    }
}

impl LogsFromRedis {
    /// `None`: logs are posted.
    pub(crate) fn new(redis: Redis, config: &Config) -> Option<LogsFromRedis> {
        let is_stream = match config.logs_source {
            LogsSource::Post => return None,
            LogsSource::RedisPubsub => false,
            LogsSource::RedisStream => true,
        };
        let limits = Limits {
            max_event_bytes: config.max_event_bytes,
            history: config.max_history_per_session.max(1),
            batch: config.max_batch_events.min(config.max_queue_size / 4).max(1),
        };
        let channel = config.logs_channel.clone().into_owned();
        Some(LogsFromRedis { redis, is_stream, channel, limits, counts: Arc::default() })
    }

    /// What feeds the log of this deployment.
    pub(crate) fn source(&self, id: &ResourceId) -> SourceHandle {
        let (redis, counts) = (self.redis.clone(), Arc::clone(&self.counts));
        let name = self.channel_of(id);
        if self.is_stream {
            SourceHandle::new(StreamLogs::new(redis, name, self.limits, counts))
        } else {
            SourceHandle::new(ChannelLogs::new(redis, name, self.limits, counts))
        }
    }

    /// Whether a deployment whose log has ended here was deployed again: then its log begins anew. While Redis does not
    /// answer, it was not.
    pub(crate) async fn is_anew(&self, id: &ResourceId) -> bool {
        let name = self.channel_of(id);
        let is_over = if self.is_stream {
            stream::is_over(&self.redis, &name).await
        } else {
            end::is_over(&self.redis, &name).await
        };
        is_over == Some(false)
    }

    /// Has the history of a stream read, so that a newcomer can be given the last lines of it. Where somebody watches, it
    /// is there.
    pub(crate) async fn read_history(&self, hub: &Hub, session: &str, id: &ResourceId) {
        if !self.is_stream || hub.session(session).is_some() {
            return;
        }
        let Some(entries) = stream::length(&self.redis, &self.channel_of(id)).await.filter(|it| *it > 0)
        else {
            return;
        };
        let expected = entries.min(self.limits.history as u64);
        let options = SubscribeOptions { source: Some(self.source(id)), ..SubscribeOptions::default() };
        // It holds the source until the newcomer does. A refusal is the newcomer's, too.
        let Ok(mut held) = hub.subscribe_with(session, Resume::Live, options) else { return };
        let wait = async {
            let mut lines = 0;
            while lines < expected
                && let Ok(piece) = poll_fn(|context| held.poll_piece(context)).await
            {
                lines += u64::from(matches!(piece, Piece::Event(..)));
            }
        };
        // Whoever has waited for so long gets what is there.
        let _ = tokio::time::timeout(HISTORY_TIMEOUT, wait).await;
    }

    fn channel_of(&self, id: &ResourceId) -> String {
        self.channel.replacen(ID_IN_CHANNEL, id.as_str(), 1)
    }
}
