//! The keeper: one thread that cleans up, watches memory, and fires the timers of streams without a socket.
//!
//! Cleanup goes over the sessions in slices and holds one stripe's lock per slice: it never blocks the whole
//! hub, and timers are fired between two slices. The memory ladder is looked at four times a second. A panic
//! ends a turn, not the keeper.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{debug, error, info, warn};
use watertight_core::log::Freed;
use watertight_core::registry::ScanPoint;
use watertight_core::{CloseReason, Entry, Kind, Ladder, LogState, Rung, Session, Tick};

use super::HubState;
use crate::shard::Work;
use crate::subscription::TaskRecord;

/// How often the memory ladder is looked at.
const LADDER_STEP: Duration = Duration::from_millis(250);

/// What one slice lets go of at most under memory pressure, bytes: so long a log's lock is held, and a publisher or
/// reader of that session waits.
const SHED_SLICE_BYTES: usize = 256 * 1024;

/// A cleanup pass that takes longer is worth a warning.
const SLOW_CLEANUP: Duration = Duration::from_secs(1);

/// The first pause after a panic, doubled with each up to the largest.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(10);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    ended: bool,
    woken: bool,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    wake: Condvar,
}

impl Signal {
    /// Waits for so long, or until it is woken. `false`: the keeper is to end.
    fn wait(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.ended && !state.woken {
            self.wake.wait_for(&mut state, limit);
        }
        state.woken = false;
        !state.ended
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.wake.notify_all();
    }
}

/// Owns the keeper's thread; dropping it ends the thread and waits for it.
#[derive(Debug)]
pub(super) struct Keeper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(hub: Arc<HubState>) -> std::io::Result<Keeper> {
        let signal = Arc::new(Signal::default());
        let entry = hub.ledger.open(Kind::Task);
        let thread = std::thread::Builder::new().name("watertight-keeper".into()).spawn({
            let signal = Arc::clone(&signal);
            move || supervise(&hub, &signal, entry)
        })?;
        Ok(Keeper { signal, thread: Some(thread) })
    }

    /// Has it look at the clock now.
    #[cfg(feature = "testing")]
    pub(super) fn wake(&self) {
        self.signal.set(|state| state.woken = true);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal.set(|state| state.ended = true);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the keeper was reported already.
            let _ = thread.join();
        }
    }
}

/// Runs the keeper until it is told to end, through panics.
fn supervise(hub: &Arc<HubState>, signal: &Signal, _entry: Entry) {
    let mut pause = RESTART_PAUSE_MIN;
    while catch_unwind(AssertUnwindSafe(|| run(hub, signal))).is_err() {
        error!("the keeper panicked and is started again");
        hub.counters.keeper_restarts.fetch_add(1, Ordering::Relaxed);
        if !signal.wait(pause) {
            return;
        }
        pause = (pause * 2).min(RESTART_PAUSE_MAX);
    }
}

fn run(hub: &Arc<HubState>, signal: &Signal) {
    let mut ladder = Ladder::new(Arc::clone(&hub.budget));
    let mut laggards = Laggards::default();
    let mut next_cleanup = hub.clock.now().after(hub.config.cleanup_interval);
    let mut next_step = hub.clock.now();
    loop {
        let now = hub.clock.now();
        let timer = hub.tasks.next().map_or(LADDER_STEP, |at| at.since(now));
        if !signal.wait(timer.clamp(Duration::from_millis(1), LADDER_STEP)) {
            return;
        }
        #[cfg(feature = "testing")]
        hub.keeper_still.obey();
        #[cfg(feature = "testing")]
        injected_panic(hub);
        fire_tasks(hub);
        let now = hub.clock.now();
        if !hub.clock.runs() || now >= next_step {
            step_ladder(hub, &mut ladder, &mut laggards);
            next_step = now.after(LADDER_STEP);
        }
        if hub.clock.runs() && now >= next_cleanup {
            clean_up(hub);
            next_cleanup = hub.clock.now().after(hub.config.cleanup_interval);
        }
    }
}

#[cfg(feature = "testing")]
#[expect(clippy::panic, reason = "asked for by a test")]
fn injected_panic(hub: &HubState) {
    if hub.keeper_panic.swap(false, Ordering::SeqCst) {
        panic!("injected");
    }
}

/// Fires the timers of streams without a socket.
fn fire_tasks(hub: &HubState) {
    let now = hub.clock.now();
    hub.keeper_turn.store(now.0, Ordering::Relaxed);
    for task in hub.tasks.due(now) {
        task.fire();
    }
}

fn step_ladder(hub: &Arc<HubState>, ladder: &mut Ladder, laggards: &mut Laggards) {
    let (before, now) = ladder.step();
    if before != now {
        let (pressure, rung) = (hub.budget.pressure(), now.name());
        if now > before {
            warn!(bytes = pressure, rung, "memory pressure rises");
        } else {
            info!(bytes = pressure, rung, "memory pressure falls");
        }
    }
    if now >= Rung::ShedHistory {
        let freed = shed_excess(hub);
        debug!(events = freed.events, bytes = freed.bytes, "history let go under memory pressure");
    }
    if now >= Rung::CloseLaggards {
        for shard in &hub.shards {
            shard.send(Work::CloseLaggards);
        }
        laggards.close_some(hub);
    } else {
        *laggards = Laggards::default();
    }
}

/// Streams without a socket that were behind at the ladder's last step, and where they stood: one that is still
/// there has not read. (The pumps know this of their own sockets.) Bounded by the subscribers.
#[derive(Debug, Default)]
struct Laggards(HashMap<u64, u64>);

impl Laggards {
    /// Closes those furthest behind, a few at a time.
    fn close_some(&mut self, hub: &HubState) {
        const A_FEW: usize = 16;
        let tasks = hub.tasks.all();
        let position = |task: &TaskRecord| task.subscriber.position();
        let behind = |task: &TaskRecord| task.session().head().saturating_sub(position(task));
        let stands = |task: &TaskRecord| self.0.get(&task.number()) == Some(&position(task));
        let mut stuck: Vec<_> = tasks.iter().filter(|task| behind(task) > 0 && stands(task)).collect();
        stuck.sort_unstable_by_key(|task| std::cmp::Reverse(behind(task)));
        for task in stuck.into_iter().take(A_FEW) {
            task.close(CloseReason::SlowConsumer);
        }
        let late = tasks.iter().filter(|task| behind(task) > 0);
        self.0 = late.map(|task| (task.number(), position(task))).collect();
    }
}

/// Passes over all sessions, in slices, until enough is free for the measures to end, or nobody has any to give.
fn shed_excess(hub: &HubState) -> Freed {
    let mut freed = Freed::default();
    let excess = hub.budget.excess();
    let slices = watertight_core::limits::REGISTRY_STRIPES
        + hub.registry.len() / watertight_core::limits::CLEANUP_SLICE;
    loop {
        let before = freed.events;
        for _ in 0..slices {
            if freed.bytes >= excess {
                return freed;
            }
            freed += hub.shed_slice(SHED_SLICE_BYTES.min(excess - freed.bytes));
            fire_tasks(hub);
        }
        if freed.events == before {
            return freed;
        }
    }
}

/// One whole cleanup pass: expired events, sessions past their time.
pub(super) fn clean_up(hub: &Arc<HubState>) {
    let begun = hub.clock.now();
    let ttl = hub.config.session_ttl;
    let (mut freed, mut sessions) = (Freed::default(), 0);
    let mut next = Some(ScanPoint::default());
    while let Some(at) = next {
        let now = hub.clock.now();
        // One that was ended is kept for as long as its end says.
        let is_open = |session: &Session| session.with_log(|log| !log.ended());
        let idle = |session: &Session| now.since(session.last_activity()) > ttl && is_open(session);
        let mut forgotten = 0;
        let swept = hub.registry.slice(at, idle, |session| {
            let is_over = session.with_log(|log| {
                freed += log.expire(now, session.oldest_needed());
                log.state(now) == LogState::Over
            });
            forgotten += usize::from(is_over && hub.forget(session));
        });
        let gone = swept.sessions + forgotten;
        hub.counters.sessions_expired.fetch_add(gone as u64, Ordering::Relaxed);
        sessions += gone;
        next = swept.next;
        fire_tasks(hub);
        std::thread::yield_now();
    }
    hub.tombstones.lock().sweep(hub.clock.now());
    hub.counters.note_expired(freed);
    report(hub, begun, freed, sessions);
}

fn report(hub: &HubState, begun: Tick, freed: Freed, sessions: usize) {
    let took = hub.clock.now().since(begun);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    hub.counters.cleanups.fetch_add(1, Ordering::Relaxed);
    hub.counters.last_cleanup_ms.store(took_ms, Ordering::Relaxed);
    let (events, bytes) = (freed.events, freed.bytes);
    if took > SLOW_CLEANUP {
        warn!(took_ms, events, bytes, sessions, "cleanup took long");
    } else if events + sessions > 0 {
        info!(took_ms, events, bytes, sessions, "cleaned up");
    }
}
