//! A shard: one thread that owns sockets and pumps events into them.
//!
//! The pump takes the sessions that have news, walks their sockets and writes everything new with one system
//! call each; no task is woken per subscriber and event. While a pass runs, new events gather, and the next
//! pass writes them together, so an event costs less the more there are. A socket that is full is left alone
//! until the kernel says it is writable, and never delays the pass. Knows nothing of HTTP beyond chunks that
//! are ready to write.
//!
//! Every kind of work has a bounded share of a turn: requests of operators and waiting publishers never delay
//! deliveries by more than that share.
//!
//! | file | what it does |
//! |---|---|
//! | `run.rs` | the loop: what a turn consists of |
//! | `visit.rs` | what a publisher does here itself while the pump sleeps |
//! | `supervise.rs` | starts the loop again after a panic or a failure, and gives up where that does not help |
//! | `sockets.rs`, `conn.rs` | adopted sockets; one of them: cursor, what is half written, its life |
//! | `link.rs`, `seal.rs` | the TLS of a socket; scratch space in which a shard seals |
//! | `incoming.rs` | what subscribers send: counted and thrown away |
//! | `groups.rs` | the sockets of each session |
//! | `framing.rs` | events in chunks (HTTP/1.1) or as they are (HTTP/1.0) |
//! | `batch.rs`, `pass.rs` | the new events of a session as one run of bytes; writing it to a group |
//! | `look.rs`, `publishers.rs` | how far behind a group is; publishers that wait for that |
//! | `drain.rs` | writes on for one socket: opening, replay, after a stall, closing event |
//! | `ending.rs` | the one way out |
//! | `timers.rs` | fires what is due |
//! | `questions.rs`, `list.rs` | walks over all sockets, in slices; what operators see |

mod adopt;
mod batch;
mod conn;
mod drain;
mod ending;
mod framing;
mod groups;
mod incoming;
#[cfg(feature = "testing")]
mod injected;
mod link;
mod list;
mod look;
mod pass;
mod publishers;
mod questions;
mod run;
mod seal;
mod socket;
mod sockets;
mod supervise;
mod timers;
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use mio::{Poll, Registry, Token, Waker};
use parking_lot::RwLock;
use tokio::sync::oneshot;
use watertight_core::{CloseReason, Finish, Kind, Session, Workplace};

pub(crate) use self::adopt::Adoption;
pub(crate) use self::framing::Framing;
pub(crate) use self::link::TlsLink;
pub use self::list::{ConnectionId, ConnectionInfo, ConnectionScanPoint};
use self::run::Shard;
pub(crate) use self::socket::PeerSocket;
use crate::hub::HubState;

/// The token of the shard's own wake-up; sockets use their slot.
const WAKE: Token = Token(usize::MAX);

/// What a shard is asked to do. Each sort is bounded: sessions by the registry, sockets by the gate, the rest
/// by the requests in flight.
#[derive(Debug)]
pub(crate) enum Work {
    /// The session has news (its view of this shard is marked).
    Dirty(Arc<Session>),
    /// A publisher waits for this session's readers.
    Paced(Arc<Session>),
    /// A socket to take over.
    Adopt(Box<Adoption>),
    /// Close one connection; answers whether it was there.
    Close { number: u64, reason: CloseReason, tell: oneshot::Sender<bool> },
    /// Close the sockets furthest behind.
    CloseLaggards,
    /// Look at the sockets under rights: some were withdrawn.
    LookAtAccess,
    /// List connections from a slot on.
    List { from: u32, limit: usize, tell: oneshot::Sender<Vec<(u32, ConnectionInfo)>> },
    /// Let all read to the end and then close them; answers when none is left.
    Shutdown { finish: Finish, tell: oneshot::Sender<()> },
    /// Panic, to prove that the guards run.
    #[cfg(feature = "testing")]
    Panic,
    /// Block until the other end is dropped, to prove that it is noticed.
    #[cfg(feature = "testing")]
    Hold(std::sync::mpsc::Receiver<()>),
}

/// A shard, as all other threads see it.
pub(crate) struct ShardHandle {
    index: usize,
    /// Its state, and what is to be done with it. `None` while the pump has a turn, and while there is no pump.
    work: Workplace<Option<Box<Shard>>, Work>,
    /// Replaced when the poller is.
    waker: RwLock<Waker>,
    /// The thread is to end.
    stop: AtomicBool,
    /// The pump could not be started again: nothing is done here any more.
    lost: AtomicBool,
    /// When the pump last began a turn, on the hub's clock.
    last_turn: AtomicU64,
    #[cfg(feature = "testing")]
    pub(crate) injected: injected::Injected,
}

impl std::fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardHandle").field("index", &self.index).finish_non_exhaustive()
    }
}

impl ShardHandle {
    /// A mailbox, and what is needed to start the thread behind it.
    pub(crate) fn new(index: usize) -> std::io::Result<(Arc<ShardHandle>, ShardStarter)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let handle = Arc::new(ShardHandle {
            index,
            work: Workplace::new(None),
            waker: RwLock::new(waker),
            stop: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            last_turn: AtomicU64::new(0),
            #[cfg(feature = "testing")]
            injected: injected::Injected::default(),
        });
        // All of a pump's descriptors are there before its thread is: whoever counts them after the start counts all.
        let registry = poll.registry().try_clone()?;
        Ok((Arc::clone(&handle), ShardStarter { handle, poll, registry }))
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Hands work over; costs a system call only if the shard sleeps. A lost shard lets go of it at once.
    pub(crate) fn send(&self, work: Work) {
        self.work.queue().send(work, || self.wake());
        if self.is_lost() {
            self.let_go_of_work();
        }
    }

    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.read().wake() {
            // The eventfd's counter is full: the wake-up is pending already.
            tracing::debug!(%error, shard = self.index, "wake-up refused");
        }
    }

    /// Whether the pump is gone for good.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// When the pump last began a turn, milliseconds on the hub's clock.
    pub(crate) fn last_turn(&self) -> u64 {
        self.last_turn.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Drops what waits here: sockets close, questions are answered by their end.
    fn let_go_of_work(&self) {
        let mut work = Vec::new();
        self.work.queue().drain(&mut work);
    }

    /// Puts a state in for the pump to work on.
    fn begin(&self, shard: Shard) {
        let before = self.work.own(|state| state.replace(Box::new(shard)));
        drop(before);
    }

    /// Runs `turn` on the state. It is taken out meanwhile: if the turn panics, nobody meets what it leaves.
    fn own_shard<R>(&self, turn: impl FnOnce(&mut Shard) -> R) -> std::io::Result<R> {
        self.work.own(|state| {
            let mut shard = state.take().ok_or_else(|| std::io::Error::other("its state is gone"))?;
            if shard.is_broken {
                return Err(std::io::Error::other("a publisher that delivered panicked"));
            }
            let result = turn(&mut shard);
            *state = Some(shard);
            Ok(result)
        })
    }

    /// Takes the state out, and lets go of it where nobody waits for that.
    fn end(&self) {
        let state = self.work.own(Option::take);
        drop(state);
    }
}

/// A shard that has not been started.
#[derive(Debug)]
pub(crate) struct ShardStarter {
    handle: Arc<ShardHandle>,
    poll: Poll,
    registry: Registry,
}

impl ShardStarter {
    /// Starts the thread.
    pub(crate) fn start(self, hub: Arc<HubState>) -> std::io::Result<ShardThread> {
        let handle = Arc::clone(&self.handle);
        let entry = hub.ledger.open(Kind::Task);
        let thread = std::thread::Builder::new()
            .name(format!("watertight-pump-{}", handle.index))
            .spawn(move || supervise::supervise((self.poll, self.registry), &self.handle, &hub, entry))?;
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
        self.handle.stop.store(true, Ordering::SeqCst);
        self.handle.wake();
        // The last handle of a hub may be dropped by a task that the pump itself woke; a thread cannot wait
        // for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // It may be in the pause before a restart.
            thread.thread().unpark();
            // A panic was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}
