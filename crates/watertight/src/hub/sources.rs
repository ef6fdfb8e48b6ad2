//! Running sources: one task for each, from the first subscriber of its session until a little after the last.

use std::any::Any;
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tracing::{error, warn};
use watertight_core::source::SourcePolicy;
use watertight_core::{
    Attached, CloseReason, Entry, Kind, Owner, Session, SourcePhase, SourceState, StartSource, Tick,
};

use super::HubState;
use crate::clock::Clock;
use crate::error::SubscribeError;
use crate::source::{Feed, Feeder, SourceError, SourceHandle};

/// What a source is charged beside what it holds itself: its task, its state.
const SOURCE_BYTES: usize = 2048;
/// How long a source waits after its first error, at most; twice as long after each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How long nobody starts a source whose breaker is open.
const COOLDOWN: Duration = Duration::from_secs(30);
/// How often a clock is looked at that does not go by itself.
const STEP: Duration = Duration::from_millis(5);

/// The tasks of sources that run. Bounded by the sessions; each is charged.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    next: u64,
    /// `None`: it is just being started.
    tasks: HashMap<u64, Option<AbortHandle>>,
    /// The hub stops: none is started any more.
    ended: bool,
}

impl Sources {
    /// Ends all tasks, and keeps new ones from starting.
    pub(super) fn end(&self) {
        let tasks = {
            let mut running = self.0.lock();
            running.ended = true;
            std::mem::take(&mut running.tasks)
        };
        // Outside of the lock: a task that ends takes it.
        tasks.into_values().flatten().for_each(|task| task.abort());
    }

    /// A number for a task that is about to be started; `None`: the hub stops.
    fn begin(&self) -> Option<u64> {
        let mut running = self.0.lock();
        if running.ended {
            return None;
        }
        running.next += 1;
        let number = running.next;
        running.tasks.insert(number, None);
        Some(number)
    }

    /// It was started; it may be over already, or the hub may have stopped meanwhile.
    fn began(&self, number: u64, task: AbortHandle) {
        let mut running = self.0.lock();
        if running.ended {
            drop(running);
            task.abort();
        } else if let Some(begun) = running.tasks.get_mut(&number) {
            *begun = Some(task);
        }
    }

    fn over(&self, number: u64) {
        self.0.lock().tasks.remove(&number);
    }
}

/// A source that runs. However its task ends, the source can be started again, and all is given back.
struct Run {
    hub: Arc<HubState>,
    session: Arc<Session>,
    feeder: Arc<Feeder>,
    number: u64,
    /// Its number among the runs of this source.
    run: u64,
    /// Counted as a source and as a task.
    _entry: Entry,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.hub.sources.over(self.number);
        // Its task may have been aborted, or its runtime have ended.
        self.feeder.state.stop(self.hub.clock.now(), self.run, || false);
    }
}

impl HubState {
    /// A subscriber came to `session`: starts its source if it is not running. `given`: what is to feed it, if nothing
    /// does so far.
    pub(super) fn start_source(
        self: &Arc<Self>,
        session: &Arc<Session>,
        given: Option<&SourceHandle>,
    ) -> Result<(), SubscribeError> {
        let attached = match (session.attached(), given) {
            (Some(attached), _) => attached,
            (None, None) => return Ok(()),
            (None, Some(source)) => {
                let permit = self.charge(Owner::Sources, SOURCE_BYTES, None)?;
                let state = SourceState::new(self.clock.now());
                let feeder = Feeder { state, source: source.clone(), _permit: permit };
                session.attach(|| Arc::new(feeder))
            }
        };
        if session.with_log(|log| log.ended()) {
            return Ok(());
        }
        let runtime = tokio::runtime::Handle::current();
        match attached.state().start(self.clock.now()) {
            StartSource::Nothing => Ok(()),
            StartSource::Broken { until } => {
                Err(SubscribeError::SourceBroken { retry_after: until.since(self.clock.now()) })
            }
            StartSource::Start { run } => {
                self.spawn_source(&runtime, session, attached, run);
                Ok(())
            }
        }
    }

    /// Refuses a session whose source has been given up.
    pub(super) fn expect_source(&self, session: &Session) -> Result<(), SubscribeError> {
        let phase = session.attached().map(|attached| attached.state().info().phase);
        match phase {
            Some(SourcePhase::Broken { until }) => {
                Err(SubscribeError::SourceBroken { retry_after: until.since(self.clock.now()) })
            }
            _ => Ok(()),
        }
    }

    fn spawn_source(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        session: &Arc<Session>,
        attached: &Arc<dyn Attached>,
        run: u64,
    ) {
        let attached: Arc<dyn Any + Send + Sync> = Arc::<dyn Attached>::clone(attached);
        let Ok(feeder) = attached.downcast::<Feeder>() else { return };
        let Some(number) = self.sources.begin() else {
            feeder.state.stop(self.clock.now(), run, || false);
            return;
        };
        let running = Run {
            hub: Arc::clone(self),
            session: Arc::clone(session),
            feeder,
            number,
            run,
            _entry: self.ledger.open(Kind::Source).and(Kind::Task),
        };
        self.counters.sources_started.fetch_add(1, Ordering::Relaxed);
        // Not under the table's lock: a runtime that shuts down drops the task at once, which takes it.
        let task = runtime.spawn(running.until_unwatched());
        self.sources.began(number, task.abort_handle());
    }

    /// A session has ended or was forgotten: its source is to stop.
    pub(super) fn stop_source(&self, session: &Session) {
        if let Some(attached) = session.attached() {
            attached.state().runner().wake();
        }
    }

    fn source_policy(&self) -> SourcePolicy {
        SourcePolicy {
            breaker_errors: u32::from(self.config.breaker_errors),
            backoff: BACKOFF,
            backoff_max: BACKOFF_MAX,
            cooldown: COOLDOWN,
        }
    }
}

/// How one call of a source ended.
enum Outcome {
    Unwatched,
    Finished,
    Failed(SourceError),
}

impl Run {
    /// Runs the source until nobody watches it, it has come to its end, or its breaker opens.
    async fn until_unwatched(self) {
        let (hub, state) = (&self.hub, &self.feeder.state);
        loop {
            let outcome = tokio::select! {
                biased;
                () = self.unwatched() => Outcome::Unwatched,
                outcome = self.once() => outcome,
            };
            let has_ended = self.session.with_log(|log| log.ended());
            let now = hub.clock.now();
            match outcome {
                _ if has_ended => return state.finish(now),
                Outcome::Finished => {
                    state.finish(now);
                    return hub.announce(&self.session);
                }
                Outcome::Unwatched => {
                    // Whoever came meanwhile is either seen here or starts it anew.
                    if state.stop(now, self.run, || self.session.subscribers() > 0) {
                        return;
                    }
                }
                Outcome::Failed(why) => {
                    let why = why.to_string();
                    hub.counters.source_errors.fetch_add(1, Ordering::Relaxed);
                    let again = state.failed(now, &why, &hub.source_policy(), fastrand::u64(..));
                    let session = self.session.name().as_str();
                    let Some(at) = again else {
                        error!(session, why, "a source has failed too often; its readers are closed");
                        return self.close_readers();
                    };
                    warn!(session, why, "a source failed and is tried again");
                    hub.announce(&self.session);
                    tokio::select! {
                        () = self.unwatched() => {}
                        () = reached(&hub.clock, at) => {}
                    }
                }
            }
        }
    }

    /// One call of the source, through panics.
    async fn once(&self) -> Outcome {
        let feed = Feed::new(&self.hub, &self.session, &self.feeder);
        match AssertUnwindSafe(self.feeder.source.run(feed)).catch_unwind().await {
            Ok(Ok(())) => Outcome::Finished,
            Ok(Err(why)) => Outcome::Failed(why),
            Err(_) => Outcome::Failed(SourceError::new("it panicked")),
        }
    }

    /// Completes when the session has ended, or nobody has watched it for long enough.
    async fn unwatched(&self) {
        let (session, state, clock) = (&self.session, &self.feeder.state, &self.hub.clock);
        let until = || match session.subscribers() {
            _ if session.with_log(|log| log.ended()) => Tick::ZERO,
            0 => state.left_at().after(self.hub.config.source_linger),
            _ => Tick::NEVER,
        };
        loop {
            let at = until();
            if clock.now() >= at {
                return;
            }
            let changed = poll_fn(|context| {
                // Registers before it looks: what changes in between is not missed.
                state.runner().register(context.waker());
                if until() == at { Poll::Pending } else { Poll::Ready(()) }
            });
            tokio::select! {
                () = changed => {}
                () = reached(clock, at) => {}
            }
        }
    }

    /// The breaker is open: readers are told, and closed.
    fn close_readers(&self) {
        self.hub.announce(&self.session);
        for task in self.hub.tasks.all() {
            if Arc::ptr_eq(task.session(), &self.session) {
                task.close(CloseReason::CircuitOpen);
            }
        }
    }
}

/// Waits until the clock shows `at`.
async fn reached(clock: &Clock, at: Tick) {
    if !at.is_set() {
        return std::future::pending().await;
    }
    loop {
        let now = clock.now();
        if now >= at {
            return;
        }
        tokio::time::sleep(if clock.runs() { at.since(now) } else { STEP }).await;
    }
}
