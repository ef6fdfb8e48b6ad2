//! Commands: over one connection that all share; in a cluster over one for each server, to the server that has the key.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Arg, Cmd, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use watertight_core::Kind;

use super::Shared;
use super::keeper::{self, Keeper};
use super::servers::{Address, Which};

/// How long Redis may take to answer a command.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a command is sent on to another server of a cluster.
const MOVES_MAX: usize = 4;

/// Sends commands. Cloning shares the connections; they are closed with the last clone.
#[derive(Clone)]
pub(super) struct Commands {
    shared: Arc<Shared>,
    connections: Arc<Mutex<HashMap<Which, Connection>>>,
}

/// The connection to one server.
struct Connection {
    state: watch::Receiver<State>,
    /// The keeper.
    _tasks: JoinSet<()>,
}

/// Whether there is a connection.
#[derive(Clone)]
pub(super) enum State {
    /// The first is being made.
    Connecting,
    /// There is none, and this is why.
    Down(Arc<str>),
    /// There is one.
    Up(MultiplexedConnection),
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

/// How one server answered.
enum Answered {
    Value(Value),
    Failed(CommandError),
    /// Another server has the key from now on.
    Moved,
    /// Another server has the key this time: slots are being moved to it.
    Ask(Address),
}

impl Commands {
    pub(super) fn new(shared: &Arc<Shared>) -> Commands {
        let commands = Commands { shared: Arc::clone(shared), connections: Arc::default() };
        if !shared.servers.is_cluster() {
            commands.state_of(&Which::Main);
        }
        commands
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, CommandError> {
        let answered = self.send_on(command);
        tokio::time::timeout(COMMAND_TIMEOUT, answered).await.unwrap_or(Err(CommandError::TimedOut))
    }

    async fn send_on(&self, command: &Cmd) -> Result<Value, CommandError> {
        let key = match command.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key,
            _ => &[],
        };
        let servers = &self.shared.servers;
        let mut asking: Option<Address> = None;
        for _ in 0..=MOVES_MAX {
            let (which, is_asking) = match asking.take() {
                Some(address) => (Which::At(address), true),
                None => {
                    let found = servers.of_key(key, &self.shared).await;
                    (found.map_err(CommandError::Unavailable)?, false)
                }
            };
            match self.ask(&which, command, is_asking).await {
                Answered::Value(value) => return Ok(value),
                Answered::Failed(error) => return Err(error),
                Answered::Moved if servers.is_cluster() => servers.map_is_wrong(&self.shared).await,
                Answered::Ask(address) if servers.is_cluster() => asking = Some(address),
                // A server that is named, and is one of a cluster.
                Answered::Moved | Answered::Ask(_) => break,
            }
        }
        Err(CommandError::Refused("MOVED".to_owned()))
    }

    async fn ask(&self, which: &Which, command: &Cmd, is_asking: bool) -> Answered {
        let mut connection = match self.connection(which).await {
            Ok(connection) => connection,
            Err(why) => return Answered::Failed(CommandError::Unavailable(why)),
        };
        let answered = if is_asking {
            // Both in one piece: nothing may come between them.
            let mut pipe = redis::pipe();
            pipe.cmd("ASKING").ignore().add_command(command.clone());
            let answers = connection.req_packed_commands(&pipe, 0, 2).await;
            answers.map(|answers| answers.into_iter().nth(1).unwrap_or(Value::Nil))
        } else {
            connection.req_packed_command(command).await
        };
        let (code, detail) = match &answered {
            Ok(Value::ServerError(error)) => (error.code().to_owned(), error.details().map(str::to_owned)),
            Ok(_) => (String::new(), None),
            Err(error) => (error.code().unwrap_or_default().to_owned(), error.detail().map(str::to_owned)),
        };
        match (answered, code.as_str()) {
            (_, "MOVED") => Answered::Moved,
            (_, "ASK") => match detail.as_deref().and_then(address_of_ask) {
                Some(address) => Answered::Ask(address),
                None => Answered::Moved,
            },
            (Ok(value), "") => Answered::Value(value),
            (Err(error), "") if error.is_timeout() => Answered::Failed(CommandError::TimedOut),
            (Err(error), "") => Answered::Failed(CommandError::Unavailable(keeper::words(&error).into())),
            (_, _) => Answered::Failed(CommandError::Refused(code)),
        }
    }

    /// The connection, or why there is none. The first one of a hub that has just started is waited for.
    async fn connection(&self, which: &Which) -> Result<MultiplexedConnection, Arc<str>> {
        let mut state = self.state_of(which);
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            Ok(State::Down(why)) => Err(Arc::clone(why)),
            // The keeper has ended before it connected.
            Ok(State::Connecting) | Err(_) => Err("the hub is stopping".into()),
        }
    }

    fn state_of(&self, which: &Which) -> watch::Receiver<State> {
        let mut connections = self.connections.lock();
        if let Some(connection) = connections.get(which) {
            return connection.state.clone();
        }
        // Servers that the cluster does not have any more.
        connections.retain(|which, _| self.shared.servers.knows(which));
        let (tell, state) = watch::channel(State::Connecting);
        let entry = self.shared.ledger.open(Kind::Task);
        let keeper = Keeper::new(Arc::clone(&self.shared), which.clone(), tell);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _entry = entry;
            keeper.run().await;
        });
        connections.insert(which.clone(), Connection { state: state.clone(), _tasks: tasks });
        state
    }
}

/// `3999 127.0.0.1:6381`, behind the code.
fn address_of_ask(detail: &str) -> Option<Address> {
    let (host, port) = detail.split(' ').next_back()?.rsplit_once(':')?;
    let host = (!host.is_empty()).then(|| host.into())?;
    Some(Address { host, port: port.parse().ok()? })
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.lock();
        f.debug_map()
            .entries(connections.iter().map(|(which, it)| (which, it.state.borrow().clone())))
            .finish()
    }
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
