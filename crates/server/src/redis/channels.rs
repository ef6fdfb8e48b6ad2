//! Channels of Redis (pub/sub): any number of feeds over one connection of the hub, subscribed once for each channel.
//!
//! The connection is opened with the first feed and closed shortly after the last. SUBSCRIBE is sent for the first feed of a
//! channel, UNSUBSCRIBE once the last has gone. After each reconnect every feed is told that messages may be missing: Redis
//! keeps none.
//!
//! | module | what it holds |
//! |---|---|
//! | `table` | which channels are wanted, which are held at Redis, and who gets their messages |
//! | `connection` | the task that connects, sends what the table wants and hands out what comes |

mod connection;
mod table;

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight_core::Kind;

use self::connection::Subscriber;
use self::table::{FeedId, Table};
use super::payload::Payload;
use super::ring::{Link, Ring, Taken};
use super::{Shared, SubscribeError};

/// The channels of Redis. Cloning shares their connection; it is closed with the last clone and feed.
#[derive(Clone)]
pub(crate) struct Channels(Arc<ChannelsHandle>);

struct ChannelsHandle {
    table: Arc<Table>,
    /// The subscriber. It holds the table only, so that dropping this ends it.
    _tasks: JoinSet<()>,
}

/// What is published on a channel from now on, for one reader. Dropping it lets the subscription go.
#[derive(Debug)]
pub(crate) struct ChannelFeed {
    ring: Arc<Ring<Payload>>,
    _subscription: SubscriptionGuard,
}

/// What a [`ChannelFeed`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FeedItem {
    /// It was published.
    Message(Payload),
    /// So many messages were dropped at this point because they were not taken in time.
    Overflow(u64),
    /// Nothing comes at present, and this is why: a text that anybody may see, without address or password.
    Waiting(Arc<str>),
    /// Subscribed: from here on nothing is missing. `interrupted`: it was subscribed before, and messages may be missing
    /// since then.
    Subscribed {
        /// Not for the first time.
        interrupted: bool,
    },
}

/// One feed's part in a channel, given back on drop.
struct SubscriptionGuard {
    channels: Channels,
    channel: Arc<str>,
    id: FeedId,
}

impl Channels {
    pub(super) fn new(shared: &Arc<Shared>) -> Channels {
        let table = Table::new(shared);
        let entry = shared.ledger.open(Kind::Task);
        let subscriber = Subscriber::new(Arc::clone(shared), Arc::clone(&table));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _entry = entry;
            subscriber.run().await;
        });
        Channels(Arc::new(ChannelsHandle { table, _tasks: tasks }))
    }

    /// Subscribes in the background; Redis does not have to be there yet. The feed begins with
    /// [`Waiting`](FeedItem::Waiting) or [`Subscribed`](FeedItem::Subscribed).
    ///
    /// # Errors
    /// When there are as many feeds as there may be, the name is too long, or the hub has no memory for it.
    pub(crate) fn subscribe(&self, channel: &str) -> Result<ChannelFeed, SubscribeError> {
        let (channel, id, ring) = self.0.table.join(channel)?;
        Ok(ChannelFeed { ring, _subscription: SubscriptionGuard { channels: self.clone(), channel, id } })
    }
}

impl ChannelFeed {
    /// Waits for the next item. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> FeedItem {
        match self.ring.take().await {
            Taken::Message(message) => FeedItem::Message(message),
            Taken::Overflow(count) => FeedItem::Overflow(count),
            Taken::Link(Link::Waiting(why)) => FeedItem::Waiting(why),
            Taken::Link(Link::Reading { interrupted }) => FeedItem::Subscribed { interrupted },
            // A channel never tells it in any other way.
            Taken::Missing(_) => FeedItem::Subscribed { interrupted: true },
        }
    }
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        self.channels.0.table.leave(&self.channel, self.id);
    }
}

impl fmt::Debug for SubscriptionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SubscriptionGuard").field(&self.channel).field(&self.id).finish()
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channels").field(&self.0.table).finish()
    }
}

/// What tests of the table need.
#[cfg(test)]
pub(super) mod testing {
    pub(in super::super) use super::table::{Request, Table};
}
