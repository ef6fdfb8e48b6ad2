//! What operators see of connections: a page at a time, by place, never all at once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use watertight_core::CloseReason;

use super::Work;
use super::run::Shard;
use crate::hub::Hub;

/// A connection's id, for operators: which pump (or none, for a task), which place, which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The pump that owns its socket; `None` for a subscriber that is a task.
    pub shard: Option<u8>,
    /// Its place there.
    pub slot: u32,
    /// Tells it from those that had the place before.
    pub generation: u64,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            Some(shard) => write!(f, "p{shard}-{}-{}", self.slot, self.generation),
            None => write!(f, "t-{}-{}", self.slot, self.generation),
        }
    }
}

/// Not the id of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a connection id")]
pub struct InvalidConnectionId;

impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(text: &str) -> Result<Self, InvalidConnectionId> {
        let mut parts = text.split('-');
        let (Some(owner), Some(slot), Some(generation), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidConnectionId);
        };
        let shard = match owner {
            "t" => None,
            pump => {
                let number = pump.strip_prefix('p').ok_or(InvalidConnectionId)?;
                Some(number.parse().map_err(|_| InvalidConnectionId)?)
            }
        };
        let slot = slot.parse().map_err(|_| InvalidConnectionId)?;
        let generation = generation.parse().map_err(|_| InvalidConnectionId)?;
        Ok(ConnectionId { shard, slot, generation })
    }
}

/// A place in the order of connections, for paging. Pumps come first, tasks last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionScanPoint {
    /// The pump; the number of pumps for tasks.
    pub shard: usize,
    /// The first place there that was not shown.
    pub slot: u32,
}

/// What a connection is doing.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Its id.
    pub id: ConnectionId,
    /// What it streams.
    pub kind: &'static str,
    /// Whose it is.
    pub user: Option<Arc<str>>,
    /// The session it reads.
    pub session: String,
    /// How it is delivered: `socket` or `task`.
    pub delivery: &'static str,
    /// How old it is.
    pub age: Duration,
    /// Events sent.
    pub sent: u64,
    /// Bytes the peer sent after its request.
    pub received: u32,
    /// Events between it and the head of its session's log.
    pub lag: u64,
    /// Whether it is full and waits for its peer.
    pub stalled: bool,
    /// Errors in all.
    pub errors: u32,
    /// How often access was asked again.
    pub validations: u32,
}

impl Shard<'_> {
    pub(super) fn id_of(&self, slot: u32, generation: u64) -> ConnectionId {
        ConnectionId { shard: u8::try_from(self.index()).ok(), slot, generation }
    }

    pub(super) fn list(&self, from: u32, limit: usize) -> Vec<ConnectionInfo> {
        let end = u32::try_from(self.conns.capacity()).unwrap_or(u32::MAX);
        (from..end)
            .filter_map(|slot| Some((slot, self.conns.get(slot as usize)?)))
            .take(limit)
            .map(|(slot, conn)| ConnectionInfo {
                id: self.id_of(slot, conn.cold.generation),
                kind: conn.cold.state.kind,
                user: conn.cold.state.user.clone(),
                session: conn.session().name().as_str().to_owned(),
                delivery: "socket",
                age: self.now.since(conn.cold.state.started),
                sent: conn.sent,
                received: conn.cold.state.received,
                lag: conn.session().head().saturating_sub(conn.cursor.next),
                stalled: conn.blocked,
                errors: conn.cold.state.errors,
                validations: conn.cold.state.validations,
            })
            .collect()
    }
}

impl Hub {
    /// Up to `limit` connections from `place` on, and where the next page begins.
    pub async fn connections(
        &self,
        mut place: ConnectionScanPoint,
        limit: usize,
    ) -> (Vec<ConnectionInfo>, Option<ConnectionScanPoint>) {
        let mut page = Vec::new();
        while let Some(shard) = self.inner.shards.get(place.shard) {
            let (tell, told) = oneshot::channel();
            shard.send(Work::List { from: place.slot, limit: limit - page.len(), tell });
            // A pump that is ending has no connections to show.
            page.extend(told.await.unwrap_or_default());
            if page.len() == limit {
                let slot = page.last().map_or(0, |last| last.id.slot + 1);
                return (page, Some(ConnectionScanPoint { slot, ..place }));
            }
            place = ConnectionScanPoint { shard: place.shard + 1, slot: 0 };
        }
        let next = self.list_tasks(place, limit, &mut page);
        (page, next)
    }

    fn list_tasks(
        &self,
        place: ConnectionScanPoint,
        limit: usize,
        page: &mut Vec<ConnectionInfo>,
    ) -> Option<ConnectionScanPoint> {
        let now = self.inner.clock.now();
        let tasks = self.inner.tasks.lock();
        for key in place.slot as usize..tasks.capacity() {
            let Some(task) = tasks.get(key) else { continue };
            let slot = u32::try_from(key).unwrap_or(u32::MAX);
            if page.len() == limit {
                return Some(ConnectionScanPoint { slot, ..place });
            }
            page.push(ConnectionInfo {
                id: ConnectionId { shard: None, slot, generation: task.generation },
                kind: task.terms.kind,
                user: task.terms.user.clone(),
                session: task.session().name().as_str().to_owned(),
                delivery: "task",
                age: now.since(task.started),
                sent: task.sent.load(Ordering::Relaxed),
                received: 0,
                lag: task.session().head().saturating_sub(task.position()),
                stalled: false,
                errors: 0,
                validations: 0,
            });
        }
        None
    }

    /// Closes one connection (`DISCONNECTED`). `false`: there is no such connection.
    pub async fn disconnect(&self, id: ConnectionId) -> bool {
        let reason = CloseReason::Disconnected;
        if let Some(shard) = id.shard {
            let Some(shard) = self.inner.shards.get(usize::from(shard)) else { return false };
            let (tell, told) = oneshot::channel();
            shard.send(Work::Close { slot: id.slot, generation: id.generation, reason, tell });
            return told.await.unwrap_or(false);
        }
        let task = self.inner.tasks.lock().get(id.slot as usize).map(Arc::clone);
        match task {
            Some(task) if task.generation == id.generation => {
                task.close(reason);
                true
            }
            _ => false,
        }
    }
}
