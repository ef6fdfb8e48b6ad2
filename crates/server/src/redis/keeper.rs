//! The task that keeps the connection: connects, drives it, asks every few seconds whether Redis still answers, and connects
//! again when it does not. Says each reason once.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::Shared;
use super::backoff::Backoff;
use super::commands::{COMMAND_TIMEOUT, State};
use super::servers::Which;

/// How long connecting and signing in may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often Redis is asked whether it still answers.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);
/// How long it waits before it connects again, the first time and at most.
pub(super) const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A connection that was lost before this did not last.
pub(super) const STEADY_AFTER: Duration = Duration::from_secs(5);
/// After so many that did not last, one after the other, comings and goings are no longer said.
const SHORT_SAID_MAX: u32 = 3;
/// How many reasons are said until it is connected again: two that alternate must not fill the log.
const REASONS_SAID_MAX: usize = 4;
/// How many commands may wait to be written.
const COMMANDS_WAITING_MAX: usize = 64;

pub(super) struct Keeper {
    shared: Arc<Shared>,
    which: Which,
    tell: watch::Sender<State>,
    backoff: Backoff,
    said: Said,
}

/// What the log says of connections that come and go: each reason once, and nothing in a loop.
pub(super) struct Said {
    /// What they are for.
    what: &'static str,
    /// Connections since one lasted.
    short: u32,
    /// The reasons that were said, [`REASONS_SAID_MAX`] at most.
    reasons: Vec<Arc<str>>,
    is_connected: bool,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, which: Which, tell: watch::Sender<State>) -> Keeper {
        let backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        Keeper { shared, which, tell, backoff, said: Said::new("commands") }
    }

    /// Until it is aborted, which closes the connection.
    pub(super) async fn run(mut self) {
        let (shared, which) = (Arc::clone(&self.shared), self.which.clone());
        loop {
            let connected = timeout(CONNECT_TIMEOUT, connect(&shared, &which)).await;
            let why = match connected {
                Ok(Ok((connection, driver))) => {
                    let since = Instant::now();
                    let up = || {
                        self.said.connected(&shared);
                        self.tell.send_replace(State::Up(connection.clone()));
                    };
                    let why = attend(connection.clone(), driver, &shared, up).await;
                    if since.elapsed() >= STEADY_AFTER {
                        self.backoff.reset();
                        self.said.lasted();
                    }
                    why
                }
                Ok(Err(why)) => why,
                Err(_) => "it does not answer".to_owned(),
            };
            let why: Arc<str> = why.into();
            self.said.lost(&shared, &why);
            self.tell.send_replace(State::Down(why));
            sleep(self.backoff.next()).await;
            // Another server may have its keys by now.
            shared.servers.map_is_wrong(&shared).await;
        }
    }
}

impl Said {
    pub(super) fn new(what: &'static str) -> Said {
        Said { what, short: 0, reasons: Vec::new(), is_connected: false }
    }

    pub(super) fn connected(&mut self, shared: &Shared) {
        let redis = &shared.target().shown;
        self.short = self.short.saturating_add(1);
        if self.short <= SHORT_SAID_MAX {
            info!(redis, r#for = self.what, "connected to Redis");
            // Whatever comes next is news.
            self.reasons.clear();
        } else if self.short == SHORT_SAID_MAX + 1 {
            warn!(redis, r#for = self.what, "connections to Redis do not last; this is said once");
        }
    }

    /// The same, of whoever calls it while it is connected.
    pub(super) fn connected_once(&mut self, shared: &Shared) {
        if !std::mem::replace(&mut self.is_connected, true) {
            self.connected(shared);
        }
    }

    pub(super) fn lasted(&mut self) {
        self.short = 0;
    }

    pub(super) fn lost(&mut self, shared: &Shared, why: &Arc<str>) {
        self.is_connected = false;
        if !self.reasons.contains(why) && self.reasons.len() < REASONS_SAID_MAX {
            let redis = &shared.target().shown;
            warn!(redis, r#for = self.what, %why, "no connection to Redis; it is tried again");
            self.reasons.push(Arc::clone(why));
        }
    }
}

/// Connects and signs in.
async fn connect(
    shared: &Shared,
    which: &Which,
) -> Result<(MultiplexedConnection, impl Future<Output = ()>), String> {
    let server = shared.servers.find(which, shared).await.map_err(|why| why.to_string())?;
    let stream = server.connect().await.map_err(|error| error.to_string())?;
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(COMMAND_TIMEOUT))
        .set_pipeline_buffer_size(COMMANDS_WAITING_MAX);
    MultiplexedConnection::new_with_config(&shared.target().sign_in, stream, config)
        .await
        .map_err(|error| words(&error))
}

/// Drives the connection until it ends, Redis stops answering or is not the master that was asked for, and says which.
/// `up` is called once it can be used.
async fn attend(
    mut connection: MultiplexedConnection,
    driver: impl Future<Output = ()>,
    shared: &Shared,
    up: impl FnOnce(),
) -> String {
    let asking = async {
        let mut up = Some(up);
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
            if shared.servers.wants_master() {
                // A user without the right to ROLE finds out by READONLY.
                if matches!(is_replica(&mut connection).await, Ok(true)) {
                    return REPLICA.to_owned();
                }
            }
            if let Some(up) = up.take() {
                up();
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

/// Why a replica is left again.
pub(super) const REPLICA: &str = "it is a replica, and the sentinels are asked for the master";

async fn is_replica(connection: &mut MultiplexedConnection) -> Result<bool, RedisError> {
    let role = redis::cmd("ROLE").query_async::<Value>(connection).await?;
    Ok(match role {
        Value::Array(parts) => parts.first() == Some(&Value::BulkString(b"slave".to_vec())),
        _ => false,
    })
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
