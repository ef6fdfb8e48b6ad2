//! Streams of Redis (XADD): any number of feeds, read forward from where each one stands, over one connection of the hub for
//! each server.
//!
//! A feed that does not take what came is not read any further; what it has not been given is read again later. So nothing
//! overflows, and after a reconnect every entry comes once.
//!
//! A stream is read in one transaction with what Redis knows about it: its first and last id and how many entries it ever had.
//! So it is known whether entries went before they were read, how many, and at which point.
//!
//! | module | what it holds |
//! |---|---|
//! | `entry_id` | ids of entries |
//! | `position` | where a feed stands, and what is missing when the stream is not as it was |
//! | `table` | streams that are read, their feeds, and which server has them |
//! | `dispatcher` | the task that finds the server of each stream and starts its reader |
//! | `reader` | the task that reads all streams of one server |
//! | `answers` | what a server answers to it |

mod answers;
mod dispatcher;
mod entry_id;
mod position;
mod reader;
mod table;

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight_core::Kind;

use self::dispatcher::dispatch;
pub(crate) use self::entry_id::EntryId;
use self::table::{FeedId, Table};
use super::payload::Payload;
use super::ring::{Link, Ring, Taken};
use super::{Shared, SubscribeError};

/// Where a feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamStart {
    /// With so many of the last entries; as many as there are, if there are fewer.
    Last(usize),
    /// With what came after this entry. It need not be there.
    After(EntryId),
    /// With what comes from now on.
    #[cfg_attr(not(test), expect(dead_code, reason = "logs begin with their history"))]
    Tail,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamEntry {
    /// Its id.
    pub(crate) id: EntryId,
    /// Names and values in the order of the stream. Names may repeat, and both may be any bytes.
    pub(crate) fields: Vec<(Payload, Payload)>,
    /// Fields that were left out because the entry was too large.
    pub(crate) fields_left_out: u64,
}

/// What a [`StreamFeed`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamItem {
    /// The next entry.
    Entry(StreamEntry),
    /// Entries at this point are gone before they could be read: trimmed, or deleted with the whole stream, which began
    /// anew. How many, if that is known.
    Missing(Option<u64>),
    /// Nothing comes at present, and this is why: a text that anybody may see, without address or password.
    Waiting(Arc<str>),
    /// It is being read (again). Nothing is missing unless [`Missing`](StreamItem::Missing) says so.
    Reading,
}

/// The streams of Redis. Cloning shares their connections; they are closed with the last clone and feed.
#[derive(Clone)]
pub(crate) struct Streams(Arc<StreamsHandle>);

struct StreamsHandle {
    table: Arc<Table>,
    /// The dispatcher, which owns the readers. They hold the table only, so that dropping this ends them.
    _tasks: JoinSet<()>,
}

/// The entries of a stream from somewhere on, for one reader. Dropping it ends the reading.
#[derive(Debug)]
pub(crate) struct StreamFeed {
    ring: Arc<Ring<StreamEntry>>,
    guard: FeedGuard,
}

/// One feed's part in a stream, given back on drop.
struct FeedGuard {
    streams: Streams,
    key: Arc<str>,
    id: FeedId,
}

impl Streams {
    pub(super) fn new(shared: &Arc<Shared>) -> Streams {
        let table = Table::new(shared);
        let entry = shared.ledger.open(Kind::Task);
        let dispatching = dispatch(Arc::clone(shared), Arc::clone(&table));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _entry = entry;
            dispatching.await;
        });
        Streams(Arc::new(StreamsHandle { table, _tasks: tasks }))
    }

    /// Reads in the background; neither Redis nor the stream has to be there yet. The feed begins with
    /// [`Waiting`](StreamItem::Waiting) or [`Reading`](StreamItem::Reading).
    ///
    /// # Errors
    /// When there are as many feeds as there may be, the name is too long, or the hub has no memory for it.
    pub(crate) fn open(&self, key: &str, from: StreamStart) -> Result<StreamFeed, SubscribeError> {
        let (key, id, ring) = self.0.table.join(key, from)?;
        Ok(StreamFeed { ring, guard: FeedGuard { streams: self.clone(), key, id } })
    }
}

impl StreamFeed {
    /// Waits for the next item. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> StreamItem {
        let taken = self.ring.take().await;
        if self.ring.is_free_again() {
            self.guard.streams.0.table.has_room(&self.guard.key);
        }
        match taken {
            Taken::Message(entry) => StreamItem::Entry(entry),
            Taken::Missing(count) => StreamItem::Missing(count),
            // Streams drop nothing; if they did, this is what it would mean.
            Taken::Overflow(count) => StreamItem::Missing(Some(count)),
            Taken::Link(Link::Waiting(why)) => StreamItem::Waiting(why),
            Taken::Link(Link::Reading { .. }) => StreamItem::Reading,
        }
    }
}

impl Drop for FeedGuard {
    fn drop(&mut self) {
        self.streams.0.table.leave(&self.key, self.id);
    }
}

impl fmt::Debug for FeedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FeedGuard").field(&self.key).field(&self.id).finish()
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streams").field(&self.0.table).finish()
    }
}

/// What tests of positions need.
#[cfg(test)]
pub(super) mod testing {
    pub(in super::super) use super::position::{Position, StreamInfo, Verdict};
    pub(in super::super) use super::table::{Table, Work};
}
