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
    /// Gives a right to streams. It lasts as long as somebody holds it: what this returns, or a stream.
    ///
    /// # Errors
    /// When there is no room for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if it has a question: that is asked on the runtime.
    pub fn grant_access(&self, options: AccessOptions) -> Result<Arc<Access>, AccessError> {
        let (rights, now) = (&self.state.rights, self.state.clock.now());
        let has_question = options.question.is_some();
        let access = rights.registry.grant(Grant {
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

    /// What became of questions about rights.
    #[must_use]
    pub fn access_counts(&self) -> AccessCounts {
        let counts = &self.state.rights.counts;
        AccessCounts {
            granted: counts.granted.load(Ordering::Relaxed),
            denied: counts.denied.load(Ordering::Relaxed),
            unanswered: counts.unanswered.load(Ordering::Relaxed),
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
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(NoAnswer(why)) = answer {
            debug!(user = access.user().map(|user| &**user), why, "no answer about a right");
        }
        access.hear(answer, &self.rights.policy)
    }
}

/// Asks for as long as the hub is there.
async fn ask(hub: &Arc<HubState>) {
    let (rights, clock) = (&hub.rights, &hub.clock);
    let step = rights.step();
    let per_step = (QUESTIONS_PER_SECOND_MAX * step.as_millis() as usize / 1000).max(1);
    let mut asking = FuturesUnordered::new();
    let (mut next_step, mut next_look) = (clock.now(), clock.now());
    let mut is_look_due = false;
    loop {
        let now = clock.now();
        if now >= next_step {
            let room = per_step.min(QUESTIONS_IN_FLIGHT_MAX.saturating_sub(asking.len()));
            let due = rights.registry.due(now, room, &rights.policy, || fastrand::u64(..));
            // A right that no stream uses is not asked about; its turn comes again.
            asking.extend(due.into_iter().filter(|access| access.streams() > 0).map(answered));
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
            Some((access, answer)) = asking.next(), if !asking.is_empty() => {
                is_look_due |= hub.heard(&access, &answer);
            }
            () = rights.news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One question, with a limit to its time, through panics.
async fn answered(access: Arc<Access>) -> (Arc<Access>, Result<Answer, NoAnswer>) {
    let asked = async {
        match access.question() {
            Some(question) => question.ask().await,
            None => Ok(Answer::Granted),
        }
    };
    let answer = match tokio::time::timeout(QUESTION_TIMEOUT, AssertUnwindSafe(asked).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            warn!("the check of a right panicked");
            Err(NoAnswer("the check panicked".to_owned()))
        }
        Err(_) => Err(NoAnswer(format!("no answer within {QUESTION_TIMEOUT:?}"))),
    };
    (access, answer)
}
