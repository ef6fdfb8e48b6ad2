//! What operators see of connections: a page at a time, never all at once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use watertight_core::{CloseReason, Life, Session, SourceInfo, Tick};

use super::Work;
use crate::hub::Hub;

/// A connection's id, for operators: which pump has its socket (or none), and a number that no other connection
/// of this hub has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The pump that owns its socket; `None` for a stream without a socket of its own.
    pub shard: Option<u8>,
    /// Its number.
    pub number: u64,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            Some(shard) => write!(f, "p{shard}-{}", self.number),
            None => write!(f, "t-{}", self.number),
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
        let (owner, number) = text.split_once('-').ok_or(InvalidConnectionId)?;
        let shard = match owner {
            "t" => None,
            pump => {
                let number = pump.strip_prefix('p').ok_or(InvalidConnectionId)?;
                Some(number.parse().map_err(|_| InvalidConnectionId)?)
            }
        };
        let number = number.parse().map_err(|_| InvalidConnectionId)?;
        Ok(ConnectionId { shard, number })
    }
}

/// Where a page of connections begins. Pumps come first, streams without a socket last. Connections that come, go or
/// are moved together between two pages may be missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionScanPoint {
    /// The pump; the number of pumps for tasks.
    pub shard: usize,
    /// The first number there that was not shown.
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
    /// How it is delivered: `socket`, `body`, `poll` or `stream`.
    pub delivery: &'static str,
    /// Where its peer is; `None` for a stream without a socket of its own.
    pub address: Option<IpAddr>,
    /// When it began.
    pub started: Tick,
    /// How old it is.
    pub age: Duration,
    /// Events sent.
    pub sent: u64,
    /// Bytes the peer sent after its request.
    pub received: u32,
    /// Events between it and the head of its session's log.
    pub lag: u64,
    /// Whether something waits that its peer does not take.
    pub stalled: bool,
    /// Errors in all.
    pub errors: u32,
    /// How often access was asked again.
    pub validations: u32,
    /// How the source of its session is, if that has one.
    pub source: Option<SourceInfo>,
}

impl ConnectionInfo {
    pub(crate) fn of(
        id: ConnectionId,
        session: &Session,
        life: &Life,
        lag: u64,
        now: Tick,
    ) -> ConnectionInfo {
        let state = life.state();
        ConnectionInfo {
            id,
            kind: life.policy().kind,
            user: life.user().cloned(),
            session: session.name().as_str().to_owned(),
            delivery: life.delivery().name(),
            address: None,
            started: state.started,
            age: now.since(state.started),
            sent: state.sent,
            received: state.received,
            lag,
            stalled: life.is_stalled(),
            errors: life.errors(session.source_errors()),
            validations: life.validations(),
            source: session.attached().map(|attached| attached.state().info()),
        }
    }
}

impl Hub {
    /// Up to `limit` connections from a point on, and where the next page begins.
    pub async fn connections(
        &self,
        mut from: ConnectionScanPoint,
        limit: usize,
    ) -> (Vec<ConnectionInfo>, Option<ConnectionScanPoint>) {
        let mut page = Vec::new();
        while let Some(shard) = self.state.shards.get(from.shard) {
            let (tell, told) = oneshot::channel();
            shard.send(Work::List { from: from.slot, limit: limit - page.len(), tell });
            // A pump that is ending has no connections to show.
            let part = told.await.unwrap_or_default();
            let last = part.last().map(|(slot, _)| *slot);
            page.extend(part.into_iter().map(|(_, info)| info));
            if page.len() == limit {
                let slot = last.map_or(from.slot, |slot| slot + 1);
                return (page, Some(ConnectionScanPoint { slot, ..from }));
            }
            from = ConnectionScanPoint { shard: from.shard + 1, slot: 0 };
        }
        let now = self.state.clock.now();
        // One more than fits says whether there is another page.
        for (key, record) in self.state.tasks.page(from.slot, limit - page.len() + 1) {
            if page.len() == limit {
                return (page, Some(ConnectionScanPoint { slot: key, ..from }));
            }
            page.extend(record.info(now));
        }
        (page, None)
    }

    /// Closes one connection (`DISCONNECTED`). `false`: there is no such connection.
    pub async fn disconnect(&self, id: ConnectionId) -> bool {
        let reason = CloseReason::Disconnected;
        if let Some(shard) = id.shard {
            let Some(shard) = self.state.shards.get(usize::from(shard)) else { return false };
            let (tell, told) = oneshot::channel();
            shard.send(Work::Close { number: id.number, reason, tell });
            return told.await.unwrap_or(false);
        }
        let record = self.state.tasks.find(id.number);
        let Some(record) = record else { return false };
        record.close(reason);
        true
    }
}
