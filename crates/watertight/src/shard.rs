//! A shard: one thread that owns sockets and pumps events into them.
//!
//! The pump takes the sessions that have news, walks their sockets and writes everything new with one system
//! call each; no task is woken per subscriber and event. While a pass runs, new events gather, and the next
//! pass writes them together: the busier, the cheaper. A socket that is full is left alone until the kernel
//! says it is writable, and never delays the pass. Knows nothing of HTTP beyond chunks that are ready to write.
//!
//! | file | what it does |
//! |---|---|
//! | `conn.rs` | one adopted socket: cursor, what is half written, lifecycle |
//! | `batch.rs` | the new events of a pass, as one run of bytes |
//! | `pass.rs` | walks a group of sockets with a batch |
//! | `drain.rs` | writes on for one socket: opening, replay, after a stall, goodbye |
//! | `ending.rs` | the one way out |
//! | `timers.rs` | heartbeats and deadlines |
//! | `list.rs` | what operators see |

mod adopt;
mod batch;
mod conn;
mod drain;
mod ending;
mod list;
mod pass;
mod run;
mod timers;

use std::sync::Arc;
use std::thread::JoinHandle;

use mio::{Poll, Token, Waker};
use tokio::sync::oneshot;
use watertight_core::{CloseReason, DirtyQueue, Kind, Session, Tick};

pub(crate) use self::adopt::Adoption;
pub use self::list::{ConnectionId, ConnectionInfo, ConnectionScanPoint};
use crate::hub::HubState;

/// The token of the shard's own wake-up; sockets use their slot.
const WAKE: Token = Token(usize::MAX);

/// What a shard is asked to do. Each sort is bounded: sessions by the registry, sockets by the gate, the rest
/// by the requests in flight.
#[derive(Debug)]
pub(crate) enum Work {
    /// The session has news (its slot here is marked).
    Dirty(Arc<Session>),
    /// A publisher waits for this session's readers.
    Paced(Arc<Session>),
    /// A socket to take over.
    Adopt(Box<Adoption>),
    /// Close one connection; answers whether it was there.
    Close { slot: u32, generation: u64, reason: CloseReason, tell: oneshot::Sender<bool> },
    /// Close the sockets furthest behind.
    CloseLaggard,
    /// List connections from a slot on.
    List { from: u32, limit: usize, tell: oneshot::Sender<Vec<ConnectionInfo>> },
    /// Say goodbye to all; answers when none is left, at the latest at the deadline.
    Shutdown { deadline: Tick, tell: oneshot::Sender<()> },
    /// End the thread.
    Stop,
    /// Panic, to prove that the guards run.
    #[cfg(feature = "testing")]
    Panic,
}

/// A shard's mailbox.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    index: usize,
    queue: DirtyQueue<Work>,
    waker: Waker,
}

impl ShardHandle {
    /// A mailbox, and what is needed to start the thread behind it.
    pub(crate) fn new(index: usize) -> std::io::Result<(Arc<ShardHandle>, ShardStarter)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let handle = Arc::new(ShardHandle { index, queue: DirtyQueue::new(), waker });
        Ok((Arc::clone(&handle), ShardStarter { handle, poll }))
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Hands work over; costs a system call only if the shard sleeps.
    pub(crate) fn send(&self, work: Work) {
        if self.queue.push(work) {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The eventfd's counter is full: the wake-up is pending already.
            tracing::debug!(%error, shard = self.index, "wake-up refused");
        }
    }
}

/// A shard that has not been started.
#[derive(Debug)]
pub(crate) struct ShardStarter {
    handle: Arc<ShardHandle>,
    poll: Poll,
}

impl ShardStarter {
    /// Starts the thread.
    pub(crate) fn start(self, inner: Arc<HubState>) -> std::io::Result<ShardThread> {
        let handle = Arc::clone(&self.handle);
        let entry = inner.ledger.open(Kind::Task);
        let thread = std::thread::Builder::new()
            .name(format!("watertight-pump-{}", handle.index))
            .spawn(move || run::supervise(self.poll, &self.handle, &inner, entry))?;
        Ok(ShardThread { handle, thread: Some(thread) })
    }
}

/// Owns a shard's thread; dropping it ends the thread, closes its sockets and waits.
#[derive(Debug)]
pub(crate) struct ShardThread {
    handle: Arc<ShardHandle>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShardThread {
    fn drop(&mut self) {
        self.handle.send(Work::Stop);
        // The last handle of a hub may be dropped by a task that the pump itself woke; a thread cannot wait
        // for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}
