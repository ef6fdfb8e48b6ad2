//! A channel of Redis as the source of a log. Redis keeps nothing of it: what is published while nobody watches here, or
//! while the connection is away, may be missing, and is told as a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;
use tracing::warn;
use watertight::{Feed, Source, SourceError};

use super::batch::Batch;
use super::end::{self, End};
use super::{Counts, Limits};
use crate::redis::{ChannelFeed, FeedItem, Redis};

/// After how long it is looked again for an end that could not be looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(super) struct ChannelLogs {
    redis: Redis,
    channel: String,
    limits: Limits,
    counts: Arc<Counts>,
    /// It was subscribed before, whether anything of that came into the log or not.
    was_subscribed: AtomicBool,
}

impl ChannelLogs {
    pub(super) fn new(redis: Redis, channel: String, limits: Limits, counts: Arc<Counts>) -> ChannelLogs {
        ChannelLogs { redis, channel, limits, counts, was_subscribed: AtomicBool::new(false) }
    }

    /// The end that stands beside the channel; `Err`: Redis does not say.
    async fn end(&self, feed: &Feed, says_so: bool) -> Result<Option<End>, ()> {
        end::beside(&self.redis, &self.channel).await.map_err(|error| {
            if says_so {
                warn!(
                    session = feed.session(),
                    ?error,
                    "cannot look whether the log has ended; it is tried again"
                );
            }
        })
    }
}

/// The next item; `None`: it is time to look for the end.
async fn next(channel: &mut ChannelFeed, must_look: bool) -> Option<FeedItem> {
    if must_look { timeout(LOOK_AGAIN, channel.next()).await.ok() } else { Some(channel.next().await) }
}

impl Source for ChannelLogs {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let mut channel = self.redis.channels().subscribe(&self.channel).map_err(SourceError::new)?;
        let mut batch = Batch::new(self.limits, &self.counts)?;
        // Nobody has listened since the last reader of this log left, or since the source failed.
        let mut is_interrupted = !feed.is_new() || self.was_subscribed.load(Ordering::Relaxed);
        // It could not be looked whether the log has ended.
        let mut must_look = false;
        loop {
            let item = match channel.next().now_or_never() {
                Some(item) => Some(item),
                None => {
                    batch.append(&feed, || {}).await?;
                    next(&mut channel, must_look).await
                }
            };
            let mut end = None;
            match item {
                Some(FeedItem::Message(message)) => {
                    end = End::of_message(&message.bytes);
                    if end.is_none() {
                        batch.push(&message);
                    }
                    if batch.is_full() || end.is_some() {
                        batch.append(&feed, || {}).await?;
                    }
                }
                Some(FeedItem::Overflow(count)) => {
                    batch.append(&feed, || {}).await?;
                    self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                    feed.gap(Some(count))?;
                }
                Some(FeedItem::Waiting(why)) => {
                    batch.append(&feed, || {}).await?;
                    feed.waiting(&why);
                }
                Some(FeedItem::Subscribed { interrupted }) => {
                    batch.append(&feed, || {}).await?;
                    feed.succeeded();
                    if interrupted || is_interrupted {
                        feed.gap(None)?;
                    }
                    is_interrupted = false;
                    self.was_subscribed.store(true, Ordering::Relaxed);
                    // Looked for once it is subscribed: an end after this comes as a message.
                    (end, must_look) = match self.end(&feed, true).await {
                        Ok(end) => (end, false),
                        Err(()) => (None, true),
                    };
                }
                None => {
                    if let Ok(found) = self.end(&feed, false).await {
                        (end, must_look) = (found, false);
                    }
                }
            }
            if let Some(end) = end {
                feed.end(Some(end.event()?))?;
                return Ok(());
            }
        }
    }
}
