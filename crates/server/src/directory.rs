//! Whose a deployment or a service is: asked of the file, of a Redis hash or of the application.
//!
//! Answers of Redis and of the application are kept for a short time, within a number and charged to the budget. However
//! many ask the same at the same time, it is asked once, and that goes on when the first of them leaves. Questions are tasks
//! of the directory: they end with it. One that fails three times in a row is left alone for a while, then asked once; as
//! long as all of these were questions of one user, only by that user.
//!
//! Knows no token and no stream: who lets a stream in, asks again while it is open, and decides what an error means, does
//! that above.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | `answer` | what a directory answers, and why it does not |
//! | `question` | what is asked, and its bytes |
//! | `cache` | answers for a short time |
//! | `breaker` | when a directory that fails is left alone |
//! | `asking` | what stands under the lock: cache, questions under way, breaker |
//! | `of_file`, `of_redis`, `webhook` | the three directories |
//! | `figures` | what is counted |

mod answer;
mod asking;
mod breaker;
mod cache;
mod figures;
mod of_file;
mod of_redis;
mod question;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use watertight::Hub;
use watertight_core::{Entry, Kind, Owner, Tick};

pub use self::answer::{Answer, DirectoryError, DirectoryStartError};
use self::asking::{Asking, Lookup, Outcome};
pub(crate) use self::figures::Figures;
use self::of_redis::OfRedis;
use self::question::Question;
use self::webhook::Webhook;
use crate::config::{Config, Declared, DirectoryKind};
use crate::redis::{Redis, RedisStartError};
use crate::resource::{Action, Resource};

/// How many questions are put to a directory at once. As many as an application answers without being flooded.
const ASKED_AT_ONCE: usize = 32;
/// How many different questions may be under way, those that wait for their turn included.
const UNDER_WAY_MAX: usize = 1_024;
/// How long a question may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(8);
/// How long any answer may take that has no limit of its own: Redis has one for each command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Who says whose a deployment or a service is. Cloning shares it; its tasks end with the last clone.
#[derive(Clone, Debug)]
pub struct Directory(Arc<DirectoryHandle>);

#[derive(Debug)]
struct DirectoryHandle {
    shared: Arc<Shared>,
    /// Questions under way. They hold `shared` only, so that dropping this ends them.
    tasks: Mutex<JoinSet<()>>,
}

/// What the questions share.
#[derive(Debug)]
struct Shared {
    hub: Hub,
    backend: Backend,
    asking: Mutex<Asking>,
    /// A permit for each question that is being put.
    turns: Semaphore,
    figures: Arc<Figures>,
    cache_for: Duration,
    timeout: Duration,
}

#[derive(Debug)]
enum Backend {
    /// Replaced whole when the file is read again.
    File(RwLock<Arc<Declared>>),
    Redis(OfRedis),
    Webhook(Box<Webhook>),
}

impl Directory {
    /// The directory that the configuration names. Reads the webhook's secret; Redis and the webhook need not be there
    /// yet.
    ///
    /// # Errors
    /// When what the configuration says can never work.
    pub fn open(hub: &Hub, config: &Arc<Config>) -> Result<Directory, DirectoryStartError> {
        let redis = match config.directory {
            DirectoryKind::Redis => Some(Redis::of_config(hub, config)?),
            DirectoryKind::Config | DirectoryKind::Webhook => None,
        };
        Directory::open_with(hub, config, redis.as_ref())
    }

    /// The same with the Redis that the hub has, if it has one.
    pub(crate) fn open_with(
        hub: &Hub,
        config: &Arc<Config>,
        redis: Option<&Redis>,
    ) -> Result<Directory, DirectoryStartError> {
        let (backend, timeout) = match config.directory {
            DirectoryKind::Config => return Ok(Directory::of_file(hub, config)),
            DirectoryKind::Redis => {
                let redis = redis.ok_or(RedisStartError::NoUrl)?;
                (Backend::Redis(OfRedis::new(redis.clone())), ANSWER_TIMEOUT)
            }
            DirectoryKind::Webhook => {
                let webhook = Webhook::open(hub, config)?;
                (Backend::Webhook(Box::new(webhook)), config.webhook_timeout)
            }
        };
        Ok(Directory::new(hub, config, backend, timeout))
    }

    /// The directory of the configuration file's tables.
    #[must_use]
    pub fn of_file(hub: &Hub, config: &Arc<Config>) -> Directory {
        Directory::new(
            hub,
            config,
            Backend::File(RwLock::new(Arc::new(config.declared.clone()))),
            Duration::ZERO,
        )
    }

    /// Takes other tables, if they are what it answers from: whoever lost a deployment is denied from now on.
    pub fn declare(&self, declared: Declared) {
        if let Backend::File(current) = &self.0.shared.backend {
            *current.write() = Arc::new(declared);
        }
    }

    fn new(hub: &Hub, config: &Config, backend: Backend, timeout: Duration) -> Directory {
        let asking = Asking::new(config.directory_cache, config.max_directory_entries, hub.clock().now());
        let shared = Shared {
            hub: hub.clone(),
            backend,
            asking: Mutex::new(asking),
            turns: Semaphore::new(ASKED_AT_ONCE),
            figures: Arc::default(),
            cache_for: config.directory_cache,
            timeout,
        };
        Directory(Arc::new(DirectoryHandle { shared: Arc::new(shared), tasks: Mutex::new(JoinSet::new()) }))
    }

    /// Whether `user` may do this with `resource`, by an answer that is at most `directory_cache` old.
    ///
    /// # Errors
    /// When the directory gives no answer. Dropping the future gives up waiting, not the question.
    pub async fn owns(
        &self,
        user: &str,
        resource: &Resource,
        action: Action,
    ) -> Result<Answer, DirectoryError> {
        self.ask_again(user, resource, action, self.0.shared.cache_for).await
    }

    /// The same by an answer that is younger than this: for open streams, whose right may have been taken away. An answer
    /// that is just being asked for is shared, whoever asked first.
    ///
    /// # Errors
    /// As [`Directory::owns`].
    pub async fn ask_again(
        &self,
        user: &str,
        resource: &Resource,
        action: Action,
        younger_than: Duration,
    ) -> Result<Answer, DirectoryError> {
        let shared = &self.0.shared;
        if let Backend::File(declared) = &shared.backend {
            let answer = of_file::answer(&declared.read(), user, resource);
            shared.figures.answered(answer);
            return Ok(answer);
        }
        let question = Question { user: user.into(), resource: resource.clone(), action };
        let mut outcome = match self.start(question, younger_than) {
            Ok(Lookup::Known(answer)) => return Ok(answer),
            Ok(Lookup::UnderWay(outcome)) => outcome,
            Err(error) => {
                shared.figures.failed(&error);
                return Err(error);
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(DirectoryError::Stopped)),
            Err(_) => Err(DirectoryError::Stopped),
        }
    }

    /// Looks the answer up, joins whoever asks for it, or asks.
    fn start(&self, question: Question, younger_than: Duration) -> Result<Lookup, DirectoryError> {
        let shared = &self.0.shared;
        let now = shared.hub.clock().now();
        let mut asking = shared.asking.lock();
        if let Some(lookup) = asking.find(&question, younger_than, now) {
            shared.figures.found(&lookup);
            return Ok(lookup);
        }
        let is_probe = asking.admit(&question.user, now, UNDER_WAY_MAX)?;
        let charged = shared.hub.budget().try_charge(Owner::Requests, question.under_way_bytes());
        let Ok(permit) = charged else {
            asking.give_up(is_probe);
            return Err(DirectoryError::NoMemory);
        };
        let question = Arc::new(question);
        let (tell, outcome) = tokio::sync::watch::channel(None);
        asking.begin(&question, outcome.clone());
        // From here on the guard settles it, which takes the lock.
        drop(asking);
        shared.figures.began();
        let guard = QuestionGuard {
            shared: Arc::clone(shared),
            question,
            since: now,
            is_probe,
            tell,
            _permit: permit,
            _entry: shared.hub.ledger().open(Kind::Task),
            is_settled: false,
        };
        self.0.reap();
        self.0.tasks.lock().spawn(guard.put());
        Ok(Lookup::UnderWay(outcome))
    }

    /// Forgets old answers and closes idle connections; called regularly, so that they go although nobody asks.
    pub(crate) fn sweep(&self) {
        self.0.reap();
        let shared = &self.0.shared;
        let now = shared.hub.clock().now();
        shared.asking.lock().sweep(now);
        if let Backend::Webhook(webhook) = &shared.backend {
            webhook.sweep(now);
        }
    }

    /// What is counted.
    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.0.shared.figures
    }

    /// How many answers are kept.
    pub(crate) fn entries(&self) -> usize {
        self.0.shared.asking.lock().entries()
    }
}

impl DirectoryHandle {
    /// Lets go the tasks that are over: there are never more than may be under way, and a few.
    fn reap(&self) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
    }
}

impl Shared {
    /// Puts a question when it is its turn. The time limit is that of the directory: waiting for a turn is the hub's own
    /// affair, and has a limit of its own.
    async fn put(&self, question: &Question, is_probe: bool) -> Result<Answer, DirectoryError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| DirectoryError::Overloaded)?.map_err(|_| DirectoryError::Stopped)?;
        let answer = async {
            if !is_probe && self.asking.lock().is_left_alone(&question.user) {
                return Err(DirectoryError::Resting);
            }
            match &self.backend {
                Backend::File(declared) => {
                    Ok(of_file::answer(&declared.read(), &question.user, &question.resource))
                }
                Backend::Redis(redis) => redis.answer(question).await,
                Backend::Webhook(webhook) => webhook.answer(question).await,
            }
        };
        tokio::time::timeout(self.timeout, answer).await.unwrap_or(Err(DirectoryError::TimedOut))
    }
}

/// A question under way. Dropped unsettled (its task was aborted or panicked), it counts as an error, and whoever waits is
/// told that there is no answer.
struct QuestionGuard {
    shared: Arc<Shared>,
    question: Arc<Question>,
    /// When it was asked: an answer is as old as its question.
    since: Tick,
    is_probe: bool,
    tell: tokio::sync::watch::Sender<Option<Outcome>>,
    _permit: watertight_core::Permit,
    _entry: Entry,
    is_settled: bool,
}

impl QuestionGuard {
    async fn put(mut self) {
        let outcome = self.shared.put(&self.question, self.is_probe).await;
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        self.is_settled = true;
        let shared = &self.shared;
        let now = shared.hub.clock().now();
        let budget = shared.hub.budget();
        let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
        let jitter = fastrand::f64();
        let mut asking = shared.asking.lock();
        let news = asking.settle((&self.question, self.since, self.is_probe), &outcome, now, jitter, charge);
        drop(asking);
        shared.figures.ended();
        match &outcome {
            Ok(answer) => shared.figures.answered(*answer),
            Err(error) => shared.figures.failed(error),
        }
        news.say();
        self.tell.send_replace(Some(outcome));
    }
}

impl Drop for QuestionGuard {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(Err(DirectoryError::Stopped));
        }
    }
}
