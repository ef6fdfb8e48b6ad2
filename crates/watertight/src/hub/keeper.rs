//! The keeper: one thread that cleans up and watches memory.
//!
//! Cleanup goes over the sessions in slices and holds one stripe's lock per slice: it never stops the world.
//! The memory ladder is looked at four times a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{debug, info, warn};
use watertight_core::log::Freed;
use watertight_core::registry::ScanPoint;
use watertight_core::{CloseReason, Entry, Kind, Ladder, Rung, Session, Tick};

use super::HubState;
use crate::shard::Work;
use crate::subscription::TaskRecord;

/// How often the memory ladder is looked at.
const LADDER_STEP: Duration = Duration::from_millis(250);

/// A cleanup pass that takes longer is worth a warning.
const SLOW_CLEANUP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Signal {
    ended: Mutex<bool>,
    wake: Condvar,
}

/// Owns the keeper's thread; dropping it ends the thread and waits for it.
#[derive(Debug)]
pub(super) struct Keeper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(inner: Arc<HubState>) -> std::io::Result<Keeper> {
        let signal = Arc::new(Signal::default());
        let entry = inner.ledger.open(Kind::Task);
        let thread = std::thread::Builder::new().name("watertight-keeper".into()).spawn({
            let signal = Arc::clone(&signal);
            move || run(&inner, &signal, entry)
        })?;
        Ok(Keeper { signal, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.signal.ended.lock() = true;
        self.signal.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the keeper was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

fn run(inner: &Arc<HubState>, signal: &Signal, _entry: Entry) {
    let mut ladder = Ladder::new(Arc::clone(&inner.budget));
    let mut laggards = Laggards::default();
    let mut next_cleanup = inner.clock.now().after(inner.config.cleanup_interval);
    loop {
        {
            let mut ended = signal.ended.lock();
            if !*ended {
                signal.wake.wait_for(&mut ended, LADDER_STEP);
            }
            if *ended {
                return;
            }
        }
        step_ladder(inner, &mut ladder, &mut laggards);
        if inner.clock.runs() && inner.clock.now() >= next_cleanup {
            clean_up(inner);
            next_cleanup = inner.clock.now().after(inner.config.cleanup_interval);
        }
    }
}

fn step_ladder(inner: &Arc<HubState>, ladder: &mut Ladder, laggards: &mut Laggards) {
    let (before, now) = ladder.step();
    if before != now {
        let (pressure, rung) = (inner.budget.pressure(), now.name());
        if now > before {
            warn!(bytes = pressure, rung, "memory pressure rises");
        } else {
            info!(bytes = pressure, rung, "memory pressure falls");
        }
    }
    if now >= Rung::ShedHistory {
        let freed = shed_all(inner);
        debug!(events = freed.events, bytes = freed.bytes, "history let go under memory pressure");
    }
    if now >= Rung::CloseLaggards {
        for shard in &inner.shards {
            shard.send(Work::CloseLaggard);
        }
        laggards.close_some(inner);
    } else {
        *laggards = Laggards::default();
    }
}

/// Subscribers that are tasks, were behind at the ladder's last step, and where they stood: who stands there
/// still does not read. (The pumps know that of their sockets.) Bounded by the subscribers.
#[derive(Debug, Default)]
struct Laggards(HashMap<u64, u64>);

impl Laggards {
    /// Closes those furthest behind, a few at a time.
    fn close_some(&mut self, inner: &HubState) {
        const A_FEW: usize = 16;
        let mut tasks: Vec<_> = inner.tasks.lock().iter().map(|(_, task)| Arc::clone(task)).collect();
        tasks.retain(|task| task.closed().is_none());
        let behind = |task: &TaskRecord| task.session().head().saturating_sub(task.position());
        let stands = |task: &TaskRecord| self.0.get(&task.generation) == Some(&task.position());
        let mut stuck: Vec<_> = tasks.iter().filter(|task| behind(task) > 0 && stands(task)).collect();
        stuck.sort_unstable_by_key(|task| std::cmp::Reverse(behind(task)));
        for task in stuck.into_iter().take(A_FEW) {
            if task.close(CloseReason::SlowConsumer) {
                inner.counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
            }
        }
        let late = tasks.iter().filter(|task| behind(task) > 0);
        self.0 = late.map(|task| (task.generation, task.position())).collect();
    }
}

/// One turn over all sessions, in slices.
fn shed_all(inner: &HubState) -> Freed {
    let mut freed = Freed::default();
    let slices = watertight_core::limits::REGISTRY_STRIPES
        + inner.registry.len() / watertight_core::limits::CLEANUP_SLICE;
    for _ in 0..slices {
        freed += inner.shed_some();
    }
    freed
}

/// One whole cleanup pass: expired events, sessions past their time, task subscribers that read nothing.
pub(super) fn clean_up(inner: &Arc<HubState>) {
    let begun = inner.clock.now();
    let ttl = inner.config.session_ttl;
    let (mut freed, mut sessions) = (Freed::default(), 0);
    let mut place = Some(ScanPoint::default());
    while let Some(at) = place {
        let now = inner.clock.now();
        let idle = |session: &Session| now.since(session.last_activity()) > ttl;
        let swept = inner.registry.slice(at, idle, |session| {
            freed += session.with_log(|log| log.expire(now, session.oldest_needed()));
        });
        sessions += swept.sessions;
        place = swept.next;
        std::thread::yield_now();
    }
    inner.counters.note_expired(freed);
    close_idle_tasks(inner, begun);
    report(inner, begun, freed, sessions);
}

fn close_idle_tasks(inner: &HubState, now: Tick) {
    let limit = inner.config.max_subscriber_idle_time;
    let tasks: Vec<_> = inner.tasks.lock().iter().map(|(_, task)| Arc::clone(task)).collect();
    for task in tasks {
        let behind = task.session().head() > task.position();
        let is_idle = behind && now.since(task.last_progress()) > limit;
        if is_idle && task.close(CloseReason::SlowConsumer) {
            inner.counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn report(inner: &HubState, begun: Tick, freed: Freed, sessions: usize) {
    let took = inner.clock.now().since(begun);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    inner.counters.cleanups.fetch_add(1, Ordering::Relaxed);
    inner.counters.last_cleanup_ms.store(took_ms, Ordering::Relaxed);
    inner.counters.sessions_expired.fetch_add(sessions as u64, Ordering::Relaxed);
    let (events, bytes) = (freed.events, freed.bytes);
    if took > SLOW_CLEANUP {
        warn!(took_ms, events, bytes, sessions, "cleanup took long");
    } else if events + sessions > 0 {
        info!(took_ms, events, bytes, sessions, "cleaned up");
    }
}
