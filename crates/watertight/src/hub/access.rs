//! Rights to streams: given, found again, withdrawn, and asked about while streams are open under them.
//!
//! One task asks all questions, so many at once and so many a second at most. Its answers reach streams by messages:
//! pumps walk over their sockets, streams without a socket are looked at. The task is started with the first right
//! that has a question, and ends when none is left, with the hub at the latest.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, warn};
use watertight_core::{
    Access, AccessError, AccessKey, AccessPolicy, AccessRegistry, Answer, Budget, CloseReason, Grant, Kind,
    Ledger, NoAnswer, Tick, Withdrawn,
};

use super::{Hub, HubState};
use crate::access::AccessOptions;
use crate::config::HubConfig;
use crate::shard::Work;

/// Questions under way at once.
const QUESTIONS_IN_FLIGHT_MAX: usize = 256;

/// Questions begun in a second, at most: beyond it they wait for their turn.
const QUESTIONS_PER_SECOND_MAX: usize = 5_000;

/// The name of a user that a right is charged for in any case.
const SHORT_USER_BYTES: usize = 32;

/// How long one question may take; then there was no answer.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The steps in which it is looked which rights are to be asked about.
const STEP_MIN: Duration = Duration::from_millis(10);
const STEP_MAX: Duration = Duration::from_secs(1);

/// How often pumps walk over their sockets for rights that were withdrawn, at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the hub holds for rights.
#[derive(Debug)]
pub(crate) struct Rights {
    registry: Arc<AccessRegistry>,
    policy: AccessPolicy,
    /// The task that asks.
    pool: Mutex<Option<JoinHandle<()>>>,
    /// Told when there is a right, or the clock was moved.
    news: Notify,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    granted: AtomicU64,
    denied: AtomicU64,
    unanswered: AtomicU64,
    withdrawn: AtomicU64,
}

/// Questions about rights, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessCounts {
    /// The right stands.
    pub granted: u64,
    /// It does not.
    pub denied: u64,
    /// There was no answer.
    pub unanswered: u64,
    /// Rights that somebody withdrew without a question.
    pub withdrawn: u64,
}

impl Rights {
    pub(super) fn new(config: &HubConfig, budget: &Arc<Budget>, ledger: &Arc<Ledger>) -> Rights {
        let registry =
            AccessRegistry::new(Arc::clone(budget), Arc::clone(ledger), config.max_streams_per_user);
        let policy = AccessPolicy {
            interval: config.revalidate_interval,
            breaker_errors: config.breaker_errors,
            fail_open: config.access_fail_open,
        };
        Rights { registry, policy, pool: Mutex::new(None), news: Notify::new(), counts: Counts::default() }
    }

    /// Has the task look at the clock.
    #[cfg(feature = "testing")]
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    /// Ends the task.
    pub(super) fn end(&self) {
        if let Some(pool) = self.pool.lock().take() {
            pool.abort();
        }
    }

    /// Lets go of the task if there is nothing to ask about: then it is to end. Whoever gives a right looks for the task
    /// after the right is in the registry.
    fn ends_unused(&self) -> bool {
        let mut pool = self.pool.lock();
        let is_unused = self.registry.is_empty();
        if is_unused {
            *pool = None;
        }
        is_unused
    }

    fn step(&self) -> Duration {
        self.policy.interval.map_or(STEP_MAX, |interval| (interval / 20).clamp(STEP_MIN, STEP_MAX))
    }
}

impl Hub {
    /// Gives a right to streams, or returns the one of the same key that stands. It lasts as long as somebody holds it: what this returns, or a stream.
    ///
    /// # Errors
    /// When there is no room for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if it has a question: that is asked on the runtime.
    pub fn grant_access(&self, options: AccessOptions) -> Result<Arc<Access>, AccessError> {
        let (rights, now) = (&self.state.rights, self.state.clock.now());
        let has_question = options.question.is_some();
        let user_bytes = options.user.as_ref().map_or(0, |user| user.len());
        let access = rights.registry.grant(Grant {
            bytes: user_bytes.saturating_sub(SHORT_USER_BYTES) + options.bytes,
            key: options.key.unwrap_or_else(|| AccessKey::new(fastrand::u128(..).to_ne_bytes())),
            user: options.user,
            expires: options.lifetime.map_or(Tick::NEVER, |lifetime| now.after(lifetime)),
            question: options.question,
            ask_at: if has_question {
                rights.policy.next_question(now, fastrand::u64(..))
            } else {
                Tick::NEVER
            },
        })?;
        if has_question && rights.policy.interval.is_some() {
            self.state.start_asking();
        }
        Ok(access)
    }

    /// The right of this key, if somebody holds it and it still stands.
    #[must_use]
    pub fn access(&self, key: &AccessKey) -> Option<Arc<Access>> {
        self.state.rights.registry.get(key)
    }

    /// Withdraws every right for which `reason` says why: their streams close at once, whatever delivers them. Rights
    /// that are given while this runs may be missed: whoever gives rights looks afterwards whether they still stand.
    pub fn withdraw_access(&self, reason: impl FnMut(&Access) -> Option<CloseReason>) -> Withdrawn {
        let withdrawn = self.state.rights.registry.withdraw(reason);
        if withdrawn.rights > 0 {
            self.state.rights.counts.withdrawn.fetch_add(withdrawn.rights as u64, Ordering::Relaxed);
            self.state.look_at_access();
        }
        withdrawn
    }

    /// Withdraws one right: its streams close at once.
    pub fn withdraw_one(&self, access: &Access, reason: CloseReason) {
        if access.withdraw(reason) {
            self.state.rights.counts.withdrawn.fetch_add(1, Ordering::Relaxed);
        }
        // Also if somebody else has just withdrawn it, and not yet told.
        self.state.look_at_access();
    }

    /// What became of questions about rights.
    #[must_use]
    pub fn access_counts(&self) -> AccessCounts {
        let counts = &self.state.rights.counts;
        AccessCounts {
            granted: counts.granted.load(Ordering::Acquire),
            denied: counts.denied.load(Ordering::Acquire),
            unanswered: counts.unanswered.load(Ordering::Acquire),
            withdrawn: counts.withdrawn.load(Ordering::Relaxed),
        }
    }
}

impl HubState {
    /// Every stream whose right was withdrawn, or expires earlier than was known, is looked at.
    fn look_at_access(&self) {
        for shard in &self.shards {
            shard.send(Work::LookAtAccess);
        }
        for task in self.tasks.all() {
            task.look_at_access();
        }
    }

    /// Makes sure that the task runs which asks.
    fn start_asking(self: &Arc<Self>) {
        let mut pool = self.rights.pool.lock();
        // A runtime that was shut down took the task with it.
        if pool.as_ref().is_none_or(JoinHandle::is_finished) && !self.is_stopping() {
            let entry = self.ledger.open(Kind::Task);
            let hub = Arc::clone(self);
            #[expect(clippy::disallowed_methods, reason = "owned by the hub, which aborts it when it goes")]
            let task = tokio::spawn(async move {
                let _entry = entry;
                ask(&hub).await;
            });
            *pool = Some(task);
        }
        drop(pool);
        self.rights.news.notify_one();
    }

    fn heard(&self, access: &Access, answer: &Result<Answer, NoAnswer>) -> bool {
        let counts = &self.rights.counts;
        let count = match answer {
            Ok(Answer::Granted | Answer::GrantedUntil(_)) => &counts.granted,
            Ok(Answer::Denied(_)) => &counts.denied,
            Err(_) => &counts.unanswered,
        };
        if let Err(why) = answer {
            debug!(user = access.user().map(|user| &**user), %why, "no answer about a right");
        }
        let is_to_be_looked_at = access.hear(answer, &self.rights.policy);
        // Last: whoever sees the count sees what the answer has changed.
        count.fetch_add(1, Ordering::Release);
        is_to_be_looked_at
    }
}

/// How many questions may still be begun: so many a second, and no more saved up than a second's.
struct Allowance {
    left: f64,
    at: Tick,
}

impl Allowance {
    fn at(&mut self, now: Tick) -> usize {
        const PER_SECOND: f64 = QUESTIONS_PER_SECOND_MAX as f64;
        self.left = (self.left + now.since(self.at).as_secs_f64() * PER_SECOND).min(PER_SECOND);
        self.at = now;
        self.left as usize
    }
}

/// Asks for as long as there is a right to ask about.
async fn ask(hub: &Arc<HubState>) {
    let (rights, clock) = (&hub.rights, &hub.clock);
    let step = rights.step();
    let mut allowance = Allowance { left: QUESTIONS_PER_SECOND_MAX as f64, at: clock.now() };
    let mut asking = FuturesUnordered::new();
    let (mut next_step, mut next_look) = (clock.now(), clock.now());
    let (mut is_look_due, mut has_more) = (false, false);
    loop {
        let now = clock.now();
        // What waits for its turn has it as soon as half of those under way are answered.
        if now >= next_step || (has_more && asking.len() <= QUESTIONS_IN_FLIGHT_MAX / 2) {
            let room = allowance.at(now).min(QUESTIONS_IN_FLIGHT_MAX - asking.len());
            let due = rights.registry.due(now, room, &rights.policy, || fastrand::u64(..));
            has_more = due.len() == room && room > 0;
            allowance.left -= due.len() as f64;
            asking.extend(
                due.into_iter()
                    .map(|access| answered(Turn { hub: Arc::clone(hub), access, is_put_off: false })),
            );
            next_step = now.after(step);
        }
        if is_look_due && now >= next_look {
            hub.look_at_access();
            (is_look_due, next_look) = (false, now.after(LOOK_EVERY));
        }
        if asking.is_empty() && !is_look_due && rights.ends_unused() {
            return;
        }
        let until = if is_look_due { next_step.min(next_look) } else { next_step };
        let pause = if clock.runs() { until.since(clock.now()) } else { STEP_MIN };
        tokio::select! {
            Some(is_to_be_looked_at) = asking.next(), if !asking.is_empty() => is_look_due |= is_to_be_looked_at,
            () = rights.news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A right that is being asked about. However that ends, it is asked about again in its time.
struct Turn {
    hub: Arc<HubState>,
    access: Arc<Access>,
    /// It could not be asked about this time.
    is_put_off: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Rights { registry, policy, .. } = &self.hub.rights;
        let (now, draw) = (self.hub.clock.now(), fastrand::u64(..));
        let at = if self.is_put_off { policy.try_again(now, draw) } else { policy.next_question(now, draw) };
        registry.ask_at(&self.access, at);
    }
}

/// One question, with a limit to its time, through panics. `true`: streams are to be looked at.
async fn answered(mut turn: Turn) -> bool {
    let asked = async {
        match turn.access.question() {
            Some(question) => question.ask(turn.access.user()).await,
            None => Ok(Answer::Granted),
        }
    };
    let answer = match tokio::time::timeout(QUESTION_TIMEOUT, AssertUnwindSafe(asked).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            warn!("the check of a right panicked");
            Err(NoAnswer::Failed("the check panicked".to_owned()))
        }
        Err(_) => Err(NoAnswer::Failed(format!("no answer within {QUESTION_TIMEOUT:?}"))),
    };
    turn.is_put_off = matches!(answer, Err(NoAnswer::NotAsked(_)));
    let (hub, access) = (Arc::clone(&turn.hub), Arc::clone(&turn.access));
    // Before its answer counts: whoever sees the count finds it to be asked about again.
    drop(turn);
    hub.heard(&access, &answer)
}
