//! The hub's connection to Redis: one, shared by all who need it. It is opened again by itself, with back-off.
//!
//! | module | what it holds |
//! |---|---|
//! | `target` | what the URL says: server, user, password, database |
//! | `keeper` | the task that connects, asks whether Redis still answers, and connects again |

mod keeper;
mod target;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use watertight_core::{Kind, Ledger};

use self::keeper::Keeper;
use self::target::Target;
use crate::config::ServerUrl;
use crate::outbound::OutboundError;

/// How long Redis may take to answer a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// Redis. Cloning shares the connection; it is closed with the last clone.
#[derive(Clone)]
pub(crate) struct Redis(Arc<RedisHandle>);

struct RedisHandle {
    state: watch::Receiver<State>,
    /// The keeper.
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("state", &*self.0.state.borrow()).finish()
    }
}

/// Whether there is a connection.
#[derive(Clone)]
enum State {
    /// The first is being made.
    Connecting,
    /// There is none, and this is why.
    Down(Arc<str>),
    /// There is one.
    Up(MultiplexedConnection),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Connecting => f.write_str("Connecting"),
            State::Down(why) => write!(f, "Down({why})"),
            State::Up(_) => f.write_str("Up"),
        }
    }
}

/// Why Redis can never be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisStartError {
    /// There is no URL.
    #[error("there is none; write redis://HOST:6379")]
    NoUrl,
    /// The sentinels would have to be asked.
    #[error("redis+sentinel:// is not implemented yet; name the server itself with redis:// or rediss://")]
    Sentinel,
    /// It is a cluster.
    #[error("several servers (a cluster) are not implemented yet; name one server")]
    Cluster,
    /// The path is no number of a database.
    #[error("the path is no number of a database, such as /0")]
    Database,
    /// User or password are not UTF-8 once decoded.
    #[error("the user or the password is not UTF-8")]
    NotUtf8,
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] OutboundError),
}

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// Redis does not answer in time.
    TimedOut,
    /// There is no connection, or it broke.
    Unavailable(Arc<str>),
    /// Redis refused it, with this code.
    Refused(String),
}

impl Redis {
    /// Connects in the background; it does not have to be there yet.
    ///
    /// # Errors
    /// When the URLs can never be used.
    pub(crate) fn open(urls: &[ServerUrl], ledger: &Arc<Ledger>) -> Result<Redis, RedisStartError> {
        let target = Target::of(urls)?;
        let (tell, state) = watch::channel(State::Connecting);
        let entry = ledger.open(Kind::Task);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _entry = entry;
            Keeper::new(target, tell).run().await;
        });
        Ok(Redis(Arc::new(RedisHandle { state, _tasks: tasks })))
    }

    /// Sends a command and waits for its answer, for a limited time. Dropping the future gives up waiting; the command may
    /// have been carried out.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, CommandError> {
        let answered = async {
            let mut connection = self.connection().await.map_err(CommandError::Unavailable)?;
            match connection.req_packed_command(command).await {
                Ok(Value::ServerError(error)) => Err(CommandError::Refused(error.code().to_owned())),
                Ok(value) => Ok(value),
                Err(error) if error.is_timeout() => Err(CommandError::TimedOut),
                Err(error) => Err(match error.code() {
                    Some(code) => CommandError::Refused(code.to_owned()),
                    None => CommandError::Unavailable(keeper::words(&error).into()),
                }),
            }
        };
        tokio::time::timeout(COMMAND_TIMEOUT, answered).await.unwrap_or(Err(CommandError::TimedOut))
    }

    /// The connection, or why there is none. The first one of a hub that has just started is waited for.
    async fn connection(&self) -> Result<MultiplexedConnection, Arc<str>> {
        let mut state = self.0.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            Ok(State::Down(why)) => Err(Arc::clone(why)),
            // The keeper has ended before it connected.
            Ok(State::Connecting) | Err(_) => Err("the hub is stopping".into()),
        }
    }
}
