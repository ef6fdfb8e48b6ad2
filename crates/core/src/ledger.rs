//! The ledger: how many of each kind of resource were opened and closed.
//!
//! There is one way to be counted: [`Ledger::open`] gives an [`Entry`], and dropping the entry closes it. So
//! `opened - closed = live` holds at every instant, on every path, panics included. The three are counted
//! separately, so that a fault in the counting shows as a sum that is wrong.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An accepted socket.
    Connection,
    /// A cursor in a session's log.
    Subscription,
    /// A session with its log.
    Session,
    /// Something that feeds a session while somebody watches it.
    Source,
    /// An armed timer of a connection.
    Timer,
    /// A subscription held at a Redis server.
    RedisSubscription,
    /// A task or thread that the hub owns.
    Task,
    /// A request between its head and the end of its answer.
    Request,
    /// A right under which streams are open.
    Access,
}

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Kind; 9] = [
        Kind::Connection,
        Kind::Subscription,
        Kind::Session,
        Kind::Source,
        Kind::Timer,
        Kind::RedisSubscription,
        Kind::Task,
        Kind::Request,
        Kind::Access,
    ];

    /// The kind's name in JSON (camelCase).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Connection => "connection",
            Kind::Subscription => "subscription",
            Kind::Session => "session",
            Kind::Source => "source",
            Kind::Timer => "timer",
            Kind::RedisSubscription => "redisSubscription",
            Kind::Task => "task",
            Kind::Request => "request",
            Kind::Access => "access",
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    opened: AtomicU64,
    closed: AtomicU64,
    /// Never derived from the other two. In the same cache line as they are: counting it costs no further miss.
    live: AtomicU64,
}

/// Counts of one kind at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Entries ever opened.
    pub opened: u64,
    /// Entries closed again.
    pub closed: u64,
    live: u64,
}

impl Counts {
    /// Entries open now, counted separately: it is `opened - closed` as long as the counting is right.
    #[must_use]
    pub fn live(self) -> u64 {
        self.live
    }

    /// Whether `opened - closed = live`.
    #[must_use]
    pub fn adds_up(self) -> bool {
        self.opened.checked_sub(self.closed) == Some(self.live)
    }
}

/// How often [`Ledger::counts`] reads the counters again while entries open and close at the same time. One read may
/// fall between two counters of an entry; that all of these do is very unlikely.
const LOOKS_MAX: usize = if cfg!(loom) { 2 } else { 64 };

/// Counts of all resources. Three relaxed counters per kind; reading it never locks.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: [Count; Kind::ALL.len()],
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Arc<Ledger> {
        Arc::new(Ledger::default())
    }

    /// Counts one resource of `kind` until the entry is dropped.
    pub fn open(self: &Arc<Self>, kind: Kind) -> Entry {
        self.opened(kind);
        Entry { ledger: Arc::clone(self), kinds: 1 << kind as u16 }
    }

    fn opened(&self, kind: Kind) {
        let count = self.count(kind);
        count.opened.fetch_add(1, Ordering::Relaxed);
        count.live.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self, kind: Kind) {
        let count = self.count(kind);
        count.live.fetch_sub(1, Ordering::Release);
        // Release pairs with the acquire in `look`: whoever sees the close has seen the open.
        count.closed.fetch_add(1, Ordering::Release);
    }

    /// What stands in the ledger for `kind`. Three counters cannot be read at one instant: it looks until they
    /// agree, and shows what it saw last if they do not.
    #[must_use]
    pub fn counts(&self, kind: Kind) -> Counts {
        let mut counts = self.look(kind);
        for _ in 1..LOOKS_MAX {
            if counts.adds_up() {
                break;
            }
            counts = self.look(kind);
        }
        counts
    }

    /// `closed` is read first: whoever sees an entry closed sees it opened.
    fn look(&self, kind: Kind) -> Counts {
        let count = self.count(kind);
        let closed = count.closed.load(Ordering::Acquire);
        let opened = count.opened.load(Ordering::Relaxed);
        Counts { opened, closed, live: count.live.load(Ordering::Acquire) }
    }

    /// Open entries of `kind`. Whoever sees one gone sees what its owner gave back before it.
    #[must_use]
    pub fn live(&self, kind: Kind) -> u64 {
        self.count(kind).live.load(Ordering::Acquire)
    }

    fn count(&self, kind: Kind) -> &Count {
        &self.counts[kind as usize]
    }
}

/// Counted resources that are given back together, one of each kind at most; dropping it is the only way to close
/// them.
#[derive(Debug)]
#[must_use = "dropping the entry closes it at once"]
pub struct Entry {
    ledger: Arc<Ledger>,
    /// A bit for each kind.
    kinds: u16,
}

const _: () = assert!(Kind::ALL.len() <= u16::BITS as usize);

impl Entry {
    /// Counts one resource of another kind with it.
    pub fn and(mut self, kind: Kind) -> Entry {
        let bit = 1 << kind as u16;
        debug_assert!(self.kinds & bit == 0, "one of each kind");
        if self.kinds & bit == 0 {
            self.ledger.opened(kind);
            self.kinds |= bit;
        }
        self
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let held = Kind::ALL.into_iter().filter(|kind| self.kinds & (1 << *kind as u16) != 0);
        held.for_each(|kind| self.ledger.closed(kind));
    }
}
