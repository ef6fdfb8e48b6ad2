//! The hub: sessions, pumps, the two books, and the one delivery path between them.
//!
//! Knows nothing of HTTP. Owns its threads: one pump per shard and one keeper (cleanup and memory ladder);
//! dropping the last handle ends them and waits for them.

mod append;
mod keeper;
mod pace;
mod positions;
mod publish;
mod room;
mod stats;
mod subscribe;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use watertight_core::{
    Budget, CloseReason, Epoch, EventCount, Kind, Ledger, Log, Owner, Policy, PublishGate, Registry, Session,
    SessionName,
};

pub use self::positions::Positions;
pub use self::publish::Appended;
pub(crate) use self::publish::id_of;
pub use self::stats::{Counters, Stats};
pub use self::subscribe::SubscribeOptions;
use crate::clock::Clock;
use crate::config::HubConfig;
use crate::error::{SessionError, StartError};
use crate::shard::{ShardHandle, ShardThread};
use crate::subscription::TaskRecord;

/// A hub. Cloning shares it; when the last clone and the last subscription are gone, its threads end.
#[derive(Clone, Debug)]
pub struct Hub {
    pub(crate) inner: Arc<HubState>,
    /// Ends the threads when the last handle goes. The threads themselves hold `inner` only.
    _threads: Arc<Threads>,
}

/// What the hub's threads and handles share.
#[derive(Debug)]
pub(crate) struct HubState {
    pub(crate) config: HubConfig,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) registry: Registry,
    /// How session streams live; shared by all of them.
    pub(crate) session_policy: Arc<Policy>,
    /// The pumps' mailboxes, in order.
    pub(crate) shards: Box<[Arc<ShardHandle>]>,
    /// Subscribers that are tasks, for listing and closing. Bounded by the budget (each is charged).
    pub(crate) tasks: Mutex<Slab<Arc<TaskRecord>>>,
    pub(crate) counters: Counters,
    /// Events in the logs of all sessions.
    pub(crate) events_held: Arc<EventCount>,
    pub(crate) stopping: AtomicBool,
    /// Every publish passes it; closed when the hub stops.
    pub(crate) publish_gate: PublishGate,
    /// Round robin over shards for adopted sockets.
    next_shard: AtomicUsize,
    next_generation: AtomicU64,
    /// Where the next shedding begins, so that all sessions take their turn.
    shed_place: Mutex<watertight_core::registry::ScanPoint>,
    /// Until when no room is looked for in others' history, milliseconds: there was none.
    nothing_to_shed_until: AtomicU64,
}

#[derive(Debug)]
struct Threads {
    inner: Arc<HubState>,
    keeper: Mutex<Option<keeper::Keeper>>,
    shards: Mutex<Vec<ShardThread>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.publish_gate.close();
        drop(self.keeper.get_mut().take());
        // Each thread is told to end, then waited for.
        self.shards.get_mut().clear();
    }
}

impl Hub {
    /// Starts a hub: its pumps and its keeper.
    ///
    /// # Errors
    /// When a figure makes no sense, or the operating system refuses a thread or a poller.
    pub fn new(config: HubConfig) -> Result<Hub, StartError> {
        Hub::with_clock(config, Clock::monotonic())
    }

    /// The same, on a clock of the caller's.
    ///
    /// # Errors
    /// As [`Hub::new`].
    pub fn with_clock(config: HubConfig, clock: Clock) -> Result<Hub, StartError> {
        config.validate()?;
        let (shards, starters): (Vec<_>, Vec<_>) = (0..config.shard_count())
            .map(ShardHandle::new)
            .collect::<std::io::Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let inner = Arc::new(HubState {
            ledger: Ledger::new(),
            budget: Budget::new(config.memory_warning_bytes, config.memory_critical_bytes),
            registry: Registry::new(config.max_sessions),
            session_policy: Arc::new(config.session_policy()),
            shards: shards.into_boxed_slice(),
            tasks: Mutex::new(Slab::new()),
            counters: Counters::default(),
            events_held: Arc::default(),
            stopping: AtomicBool::new(false),
            publish_gate: PublishGate::default(),
            next_shard: AtomicUsize::new(0),
            next_generation: AtomicU64::new(1),
            shed_place: Mutex::default(),
            nothing_to_shed_until: AtomicU64::new(0),
            clock,
            config,
        });
        let threads = Arc::new(Threads {
            inner: Arc::clone(&inner),
            keeper: Mutex::new(None),
            shards: Mutex::new(Vec::new()),
        });
        for starter in starters {
            let thread = starter.start(Arc::clone(&inner))?;
            threads.shards.lock().push(thread);
        }
        *threads.keeper.lock() = Some(keeper::Keeper::start(Arc::clone(&inner))?);
        Ok(Hub { inner, _threads: threads })
    }

    /// The hub's figures.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.inner.config
    }

    /// The book of resources.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.inner.ledger
    }

    /// The book of bytes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.inner.budget
    }

    /// The hub's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Whether the hub has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Checks a text as the name of a session.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn name(&self, text: &str) -> Result<SessionName, watertight_core::InvalidSessionName> {
        SessionName::new(text, self.inner.config.max_session_name_bytes)
    }

    /// The session of that name, if there is one.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Arc<Session>> {
        self.inner.registry.get(name)
    }

    /// Up to `limit` sessions from `place` on, and where the next page begins.
    #[must_use]
    pub fn sessions(
        &self,
        place: watertight_core::registry::ScanPoint,
        limit: usize,
    ) -> (Vec<Arc<Session>>, Option<watertight_core::registry::ScanPoint>) {
        self.inner.registry.page(place, limit)
    }

    /// Ends a session: what is in its log is still delivered, then its subscribers are told `SESSION_ENDED`.
    /// `false`: there is no such session.
    pub fn end_session(&self, name: &str) -> bool {
        let Some(session) = self.inner.registry.get(name) else { return false };
        let removed = self.inner.registry.remove(&session);
        self.inner.announce(&session);
        removed.is_some()
    }

    /// Moves a manual clock and lets the pumps look at it.
    #[cfg(feature = "testing")]
    pub fn advance(&self, by: Duration) {
        self.inner.clock.advance(by);
        for shard in &self.inner.shards {
            shard.wake();
        }
    }

    /// Makes a pump panic at its next turn, to prove that its guards run and that it comes back.
    #[cfg(feature = "testing")]
    pub fn inject_panic(&self, shard: usize) {
        self.inner.shards[shard].send(crate::shard::Work::Panic);
    }

    /// One whole cleanup pass, now, on the caller's thread: what the keeper does every `cleanup_interval`.
    pub fn clean_up(&self) {
        keeper::clean_up(&self.inner);
    }

    /// Stops the hub: no newcomers, every subscriber is told `SHUTTING_DOWN`, and whoever has not taken the
    /// goodbye when `grace` is over is cut off. Returns when no subscriber is left. Calling it again is
    /// harmless. Dropping the future leaves the hub stopping.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        // Whatever was taken is in its log, and announced, before any pump looks for the last time.
        self.inner.publish_gate.close();
        std::future::poll_fn(|context| self.inner.publish_gate.poll_left(context.waker())).await;
        let deadline = self.inner.clock.now().after(grace);
        let mut done = Vec::new();
        for shard in &self.inner.shards {
            let (tell, told) = tokio::sync::oneshot::channel();
            shard.send(crate::shard::Work::Shutdown { deadline, tell });
            done.push(told);
        }
        self.inner.close_tasks(CloseReason::ShuttingDown);
        for told in done {
            // An error means that the pump is gone, and its sockets with it.
            let _ = told.await;
        }
    }
}

impl HubState {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// When a subscriber is to come back: jittered, so that a crowd does not come back at once.
    pub(crate) fn retry_hint(&self) -> Duration {
        let base = u64::try_from(self.config.retry.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(base / 2 + fastrand::u64(0..=base))
    }

    pub(crate) fn next_generation(&self) -> u64 {
        self.next_generation.fetch_add(1, Ordering::Relaxed)
    }

    /// A pump for a newly adopted socket.
    pub(crate) fn next_shard(&self) -> &Arc<ShardHandle> {
        let turn = self.next_shard.fetch_add(1, Ordering::Relaxed);
        &self.shards[turn % self.shards.len()]
    }

    /// The session of that name, made if there is none. With `join`, the caller owes a `leave`.
    pub(crate) fn session(&self, name: &SessionName, join: bool) -> Result<Arc<Session>, SessionError> {
        let now = self.clock.now();
        self.registry.get_or_create(name, now, join, || {
            let bytes = Session::cost(name, self.shards.len());
            let permit = self.budget.try_charge(Owner::Sessions, bytes).map_err(SessionError::Memory)?;
            let epoch = Epoch::random().map_err(|error| SessionError::Randomness(error.to_string()))?;
            let log = Log::new(epoch, self.config.log_limits());
            let log = log.counted_in(Arc::clone(&self.events_held));
            let entry = self.ledger.open(Kind::Session);
            Ok(Session::new(name.clone(), log, self.shards.len(), now, entry, permit))
        })
    }

    /// Tells every pump that reads `session` that it has news.
    pub(crate) fn announce(&self, session: &Arc<Session>) {
        for (slot, shard) in session.slots().iter().zip(&self.shards) {
            let wanted = slot.group().is_some() || (shard.index() == session.home() && session.has_tasks());
            if wanted && slot.mark() {
                shard.send(crate::shard::Work::Dirty(Arc::clone(session)));
            }
        }
    }

    /// Ends every subscriber that is a task.
    pub(crate) fn close_tasks(&self, reason: CloseReason) {
        let tasks: Vec<_> = self.tasks.lock().iter().map(|(_, task)| Arc::clone(task)).collect();
        for task in tasks {
            task.close(reason);
        }
    }
}
