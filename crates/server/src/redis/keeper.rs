//! The task that keeps the connection: connects, drives it, asks every few seconds whether Redis still answers, and connects
//! again when it does not. Says each reason once.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::target::Target;
use super::{COMMAND_TIMEOUT, State};

/// How long connecting and signing in may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often Redis is asked whether it still answers.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long it waits before it connects again: at random up to this (full jitter), twice as much each time.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A connection that was lost before this did not last.
const STEADY_AFTER: Duration = Duration::from_secs(5);
/// After so many that did not last, one after the other, comings and goings are no longer said.
const SHORT_SAID_MAX: u32 = 3;
/// How many reasons are said until it is connected again: two that alternate must not fill the log.
const REASONS_SAID_MAX: usize = 4;
/// How many commands may wait to be written.
const COMMANDS_WAITING_MAX: usize = 64;

pub(super) struct Keeper {
    target: Arc<Target>,
    tell: watch::Sender<State>,
    /// Tries since a connection lasted.
    failures: u32,
    /// Connections since one lasted.
    short: u32,
    /// The reasons that were said, [`REASONS_SAID_MAX`] at most.
    said: Vec<Arc<str>>,
}

impl Keeper {
    pub(super) fn new(target: Target, tell: watch::Sender<State>) -> Keeper {
        Keeper { target: Arc::new(target), tell, failures: 0, short: 0, said: Vec::new() }
    }

    /// Until it is aborted, which closes the connection.
    pub(super) async fn run(mut self) {
        let target = Arc::clone(&self.target);
        loop {
            let connected = timeout(CONNECT_TIMEOUT, connect(&target)).await;
            let why = match connected {
                Ok(Ok((connection, driver))) => {
                    self.connected();
                    self.tell.send_replace(State::Up(connection.clone()));
                    let since = Instant::now();
                    let why = attend(connection, driver).await;
                    if since.elapsed() >= STEADY_AFTER {
                        (self.failures, self.short) = (0, 0);
                    }
                    why
                }
                Ok(Err(why)) => why,
                Err(_) => "it does not answer".to_owned(),
            };
            self.lost(why.into());
            let doublings = self.failures.min(16);
            self.failures = self.failures.saturating_add(1);
            let most = (BACKOFF * (1 << doublings)).min(BACKOFF_MAX);
            sleep(most.mul_f64(fastrand::f64())).await;
        }
    }

    fn connected(&mut self) {
        self.short = self.short.saturating_add(1);
        if self.short <= SHORT_SAID_MAX {
            info!(redis = self.target.shown, "connected to Redis");
            // Whatever comes next is news.
            self.said.clear();
        } else if self.short == SHORT_SAID_MAX + 1 {
            warn!(redis = self.target.shown, "connections to Redis do not last; this is said once");
        }
    }

    fn lost(&mut self, why: Arc<str>) {
        if !self.said.contains(&why) && self.said.len() < REASONS_SAID_MAX {
            warn!(redis = self.target.shown, %why, "no connection to Redis; it is tried again");
            self.said.push(Arc::clone(&why));
        }
        self.tell.send_replace(State::Down(why));
    }
}

/// Connects and signs in.
async fn connect(target: &Target) -> Result<(MultiplexedConnection, impl Future<Output = ()>), String> {
    let stream = target.server.connect().await.map_err(|error| error.to_string())?;
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(COMMAND_TIMEOUT))
        .set_pipeline_buffer_size(COMMANDS_WAITING_MAX);
    MultiplexedConnection::new_with_config(&target.sign_in, stream, config)
        .await
        .map_err(|error| words(&error))
}

/// Drives the connection until it ends or Redis stops answering, and says which.
async fn attend(mut connection: MultiplexedConnection, driver: impl Future<Output = ()>) -> String {
    let asking = async {
        let mut every = interval(PING_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let asked = redis::cmd("PING").query_async::<()>(&mut connection).await;
            match asked {
                // Whatever it answers, it answers: a user may be forbidden to PING.
                Ok(()) => {}
                Err(error) if error.code().is_some() => {}
                Err(error) if error.is_timeout() => return "it does not answer".to_owned(),
                Err(error) => return words(&error),
            }
        }
    };
    tokio::select! {
        // First what has come: on a busy machine an answer and the end of waiting for it come at once.
        biased;
        () = driver => "it closed the connection".to_owned(),
        why = asking => why,
    }
}

/// What went wrong, in words that help; nothing of a command or of a password.
pub(super) fn words(error: &RedisError) -> String {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
            "it refuses the user or the password of redis_url".to_owned()
        }
        (_, Some("NOAUTH")) => "it wants a password, and redis_url has none".to_owned(),
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            "it does not let the user of redis_url connect (NOPERM)".to_owned()
        }
        (ErrorKind::RESP3NotSupported, _) => "it is older than Redis 6".to_owned(),
        (_, Some(code)) => format!("it refuses the connection ({code})"),
        (ErrorKind::Io, None) => format!("{error}"),
        (_, None) => error.category().to_owned(),
    }
}
