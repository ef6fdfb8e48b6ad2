//! The hub: sessions, pumps, ledger and budget, and the one delivery path between them.
//!
//! Knows nothing of HTTP. Owns its threads: one pump per shard and one keeper (cleanup and memory ladder);
//! dropping the last handle ends them and waits for them.

mod access;
mod append;
mod durations;
mod end;
mod feed;
#[cfg(feature = "testing")]
mod injected;
mod keeper;
mod lag;
mod pace;
mod positions;
mod publish;
mod room;
mod sources;
mod stats;
mod subscribe;
mod tasks;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use watertight_core::mailbox;
use watertight_core::{
    Budget, CloseReason, Epoch, EventCount, Finish, Kind, Ledger, Log, LogState, Owner, Policy, PublishGate,
    Registry, Session, SessionName, TaskSubscriber, Tick, Tombstones,
};

pub use self::access::AccessCounts;
pub(crate) use self::access::Rights;
pub use self::durations::{DurationCounts, Durations};
pub use self::end::{EndOptions, EndedSession, PublishOptions};
#[cfg(feature = "testing")]
pub(crate) use self::injected::Standstill;
pub use self::lag::RecentLag;
pub use self::positions::Positions;
pub use self::publish::Appended;
pub(crate) use self::publish::id_of;
use self::sources::Sources;
pub use self::stats::{Counters, Stats};
pub use self::subscribe::SubscribeOptions;
use self::tasks::Tasks;
use crate::clock::Clock;
use crate::config::HubConfig;
use crate::error::{SessionError, StartError};
use crate::shard::{ShardHandle, ShardThread};

/// Tasks of a session that whoever publishes wakes; more are woken by their home.
const WOKEN_BY_PUBLISHERS: u32 = 16;

thread_local! {
    /// Scratch space of this thread's waking.
    static TASKS: Cell<Vec<Arc<TaskSubscriber>>> = const { Cell::new(Vec::new()) };
}

/// A hub. Cloning shares it; when the last clone and the last subscription are gone, its threads end.
#[derive(Clone, Debug)]
pub struct Hub {
    pub(crate) state: Arc<HubState>,
    /// Ends the threads when the last handle goes. The threads themselves hold `state` only.
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
    /// Sessions that were forgotten after their end.
    pub(crate) tombstones: Mutex<Tombstones>,
    /// How session streams live; shared by all of them.
    pub(crate) session_policy: Arc<Policy>,
    /// The pumps' mailboxes, in order.
    pub(crate) shards: Box<[Arc<ShardHandle>]>,
    /// Streams without a socket of their own.
    pub(crate) tasks: Tasks,
    /// Rights to streams.
    pub(crate) rights: Rights,
    /// What feeds sessions at the moment.
    pub(crate) sources: Sources,
    pub(crate) counters: Counters,
    /// Events in the logs of all sessions.
    pub(crate) events_held: Arc<EventCount>,
    pub(crate) stopping: AtomicBool,
    /// Every publish passes it; closed when the hub stops.
    pub(crate) publish_gate: PublishGate,
    /// Round robin over shards for adopted sockets.
    next_shard: AtomicUsize,
    /// Numbers of connections; none is given twice.
    next_number: AtomicU64,
    /// When the keeper last made a turn.
    pub(crate) keeper_turn: AtomicU64,
    #[cfg(feature = "testing")]
    keeper_panic: AtomicBool,
    #[cfg(feature = "testing")]
    keeper_still: Standstill,
    /// Where the next shedding begins, so that all sessions are shed in turn.
    next_shed: Mutex<watertight_core::registry::ScanPoint>,
    /// Until when other sessions' history is not searched for room, milliseconds: the last search found none.
    nothing_to_shed_until: AtomicU64,
}

#[derive(Debug)]
struct Threads {
    state: Arc<HubState>,
    keeper: Mutex<Option<keeper::Keeper>>,
    shards: Mutex<Vec<ShardThread>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        self.state.publish_gate.close();
        self.state.rights.end();
        self.state.sources.end();
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
        let ledger = Ledger::new();
        let budget = Budget::new(config.memory_warning_bytes, config.memory_critical_bytes);
        let state = Arc::new(HubState {
            rights: Rights::new(&config, &budget, &ledger),
            ledger,
            budget,
            registry: Registry::new(config.max_sessions),
            tombstones: Mutex::new(Tombstones::new(config.tombstone_ttl)),
            session_policy: Arc::new(config.session_policy()),
            sources: Sources::default(),
            shards: shards.into_boxed_slice(),
            tasks: Tasks::new(clock.now()),
            counters: Counters::default(),
            events_held: Arc::default(),
            stopping: AtomicBool::new(false),
            publish_gate: PublishGate::default(),
            next_shard: AtomicUsize::new(0),
            next_number: AtomicU64::new(1),
            keeper_turn: AtomicU64::new(clock.now().0),
            #[cfg(feature = "testing")]
            keeper_panic: AtomicBool::new(false),
            #[cfg(feature = "testing")]
            keeper_still: Standstill::default(),
            next_shed: Mutex::default(),
            nothing_to_shed_until: AtomicU64::new(0),
            clock,
            config,
        });
        let threads = Arc::new(Threads {
            state: Arc::clone(&state),
            keeper: Mutex::new(None),
            shards: Mutex::new(Vec::new()),
        });
        for starter in starters {
            let thread = starter.start(Arc::clone(&state))?;
            threads.shards.lock().push(thread);
        }
        *threads.keeper.lock() = Some(keeper::Keeper::start(Arc::clone(&state))?);
        Ok(Hub { state, _threads: threads })
    }

    /// The hub's figures.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.state.config
    }

    /// How streams live that have no policy of their own.
    #[must_use]
    pub fn session_policy(&self) -> &Arc<Policy> {
        &self.state.session_policy
    }

    /// The ledger: counts of all resources.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.state.ledger
    }

    /// The budget: all bytes that are charged.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.state.budget
    }

    /// The hub's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.state.clock
    }

    /// Whether the hub has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.state.is_stopping()
    }

    /// Checks a text as the name of a session.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn name(&self, text: &str) -> Result<SessionName, watertight_core::InvalidSessionName> {
        SessionName::new(text, self.state.config.max_session_name_bytes)
    }

    /// The session of that name, if there is one.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Arc<Session>> {
        self.state.registry.get(name).filter(|session| !self.state.is_over(session))
    }

    /// Up to `limit` sessions from `from` on, and where the next page begins. Those that are about to be forgotten
    /// are left out.
    #[must_use]
    pub fn sessions(
        &self,
        from: watertight_core::registry::ScanPoint,
        limit: usize,
    ) -> (Vec<Arc<Session>>, Option<watertight_core::registry::ScanPoint>) {
        let (mut page, next) = self.state.registry.page(from, limit);
        page.retain(|session| !self.state.is_over(session));
        (page, next)
    }

    /// One whole cleanup pass, now, on the caller's thread: what the keeper does every `cleanup_interval`.
    pub fn clean_up(&self) {
        keeper::clean_up(&self.state);
    }

    /// Stops the hub: no newcomers and no more events; every subscriber reads what is there and is then told
    /// `SHUTTING_DOWN`. A subscriber that has not read everything after three quarters of `grace` is told then,
    /// and one that has not taken its closing event at the end of `grace` is cut off. Returns when no
    /// subscriber is left. Calling it again is harmless. Dropping the future leaves the hub stopping.
    pub async fn shutdown(&self, grace: Duration) {
        self.state.stopping.store(true, Ordering::SeqCst);
        // Every accepted event is in its log, and announced, before any pump looks for the last time.
        self.state.publish_gate.close();
        std::future::poll_fn(|context| self.state.publish_gate.poll_left(context.waker())).await;
        self.state.sources.end();
        let now = self.state.clock.now();
        let finish = Finish {
            reason: CloseReason::ShuttingDown,
            close_at: now.after(grace - grace / 4),
            cut_off_at: now.after(grace),
        };
        let mut done = Vec::new();
        for shard in &self.state.shards {
            let (tell, told) = tokio::sync::oneshot::channel();
            shard.send(crate::shard::Work::Shutdown { finish, tell });
            done.push(told);
        }
        for task in self.state.tasks.all() {
            task.finish(finish);
        }
        for told in done {
            // An error means that the pump is gone, and its sockets with it.
            let _ = told.await;
        }
        self.state.tasks.gone().await;
    }

    /// Which of the hub's threads has made no turn for too long; `None` if all work.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        self.state.stuck()
    }
}

impl HubState {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether a session is about to be forgotten: it is to be looked up anew.
    fn is_over(&self, session: &Session) -> bool {
        let now = self.clock.now();
        session.with_log(|log| log.state(now) == LogState::Over)
    }

    /// When a subscriber is to come back: jittered, so that many subscribers do not reconnect at the same
    /// instant.
    pub(crate) fn retry_hint(&self) -> Duration {
        let base = u64::try_from(self.config.retry.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(base / 2 + fastrand::u64(0..=base))
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// A pump for a newly adopted socket. `None`: there is none left that works.
    pub(crate) fn next_shard(&self) -> Option<&Arc<ShardHandle>> {
        self.working_shard_from(self.next_shard.fetch_add(1, Ordering::Relaxed))
    }

    /// The pump that looks after a session's tasks and waiting publishers: its home, or the next that works.
    pub(crate) fn home_of(&self, session: &Session) -> Option<&Arc<ShardHandle>> {
        self.working_shard_from(session.home())
    }

    fn working_shard_from(&self, first: usize) -> Option<&Arc<ShardHandle>> {
        let count = self.shards.len();
        (0..count).map(|step| &self.shards[(first + step) % count]).find(|shard| !shard.is_lost())
    }

    /// The session of that name, made if there is none. With `join`, the caller owes a `leave`.
    pub(crate) fn session(
        &self,
        name: &SessionName,
        now: Tick,
        join: bool,
    ) -> Result<Arc<Session>, SessionError> {
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

    /// Delivers the news of `session` where that is little and nobody else is at work, and tells the pumps otherwise.
    /// Tasks are woken here if they are few, by their home if they are many.
    pub(crate) fn announce(&self, session: &Arc<Session>) {
        let are_woken = (1..=WOKEN_BY_PUBLISHERS).contains(&session.task_count());
        if are_woken {
            // Taken out of the thread's scratch space: a waker may be anybody's code.
            let mut tasks = TASKS.take();
            mailbox::wake_tasks(session, self.clock.now(), &mut tasks);
            TASKS.set(tasks);
        }
        let home = || self.home_of(session).filter(|_| !are_woken).map(|shard| shard.index());
        let deliver = |shard: usize| self.shards[shard].deliver_now(session);
        mailbox::announce(session, home, deliver, |shard| self.shards[shard].leave_news(session));
    }
}
