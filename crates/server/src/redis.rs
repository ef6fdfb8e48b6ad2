//! Redis: commands, channels and streams, each over connections that all users in the hub share. They are opened again by
//! themselves, with back-off. A server, the master that sentinels name, or a cluster.
//!
//! Commands go over the library's connection, which sends many at once. Channels and streams have one of the hub's own
//! (`wire`): they bring what others send, of any size, and of that only what may be kept is ever held.
//!
//! | module | what it holds |
//! |---|---|
//! | `target` | what the URLs say: servers, user, password, database |
//! | `servers` | which server to go to: asked of sentinels, or of the cluster |
//! | `commands` | commands, each to the server that has its key |
//! | `keeper` | the task that connects for commands, asks whether Redis still answers, and connects again |
//! | `channels` | SUBSCRIBE: what is published on a channel |
//! | `streams` | XREAD: the entries of a stream |
//! | `wire`, `signed_in`, `payload` | a connection of the hub's own: RESP3 piece by piece, and signing in |
//! | `ring` | what waits for one reader, bounded |
//! | `backoff` | how long to wait before the next try |

mod backoff;
mod channels;
mod commands;
mod keeper;
mod payload;
mod ring;
mod servers;
mod signed_in;
mod streams;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;

use redis::{Cmd, Value};
use watertight::Hub;
use watertight_core::{Budget, Exhausted, Ledger};

pub(crate) use self::channels::{ChannelFeed, Channels, FeedItem};
pub(crate) use self::commands::CommandError;
use self::commands::Commands;
pub(crate) use self::payload::Payload;
use self::servers::Servers;
#[cfg(test)]
pub(crate) use self::streams::StreamFeed;
pub(crate) use self::streams::{EntryId, StreamEntry, StreamItem, StreamStart, Streams};
use self::target::Target;
use crate::config::{Config, ServerUrl};
use crate::outbound::OutboundError;

/// How many feeds of channels there may be at once, and how many of streams.
const FEEDS_MAX: usize = 100_000;
/// How long the name of a channel or of a stream may be.
const CHANNEL_BYTES_MAX: usize = 1_024;
/// What feeds are told while the hub connects for the first time.
const CONNECTING: &str = "the hub connects to Redis";

/// Redis. Cloning shares the connections; they are closed with the last clone and feed.
#[derive(Clone)]
pub(crate) struct Redis(Arc<RedisHandle>);

struct RedisHandle {
    commands: Commands,
    channels: Channels,
    streams: Streams,
}

/// What commands, channels and streams share. No task is held by it.
struct Shared {
    servers: Servers,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    /// How much of one message or entry is kept, bytes.
    keep_bytes: usize,
}

/// Why Redis can never be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisStartError {
    /// There is no URL.
    #[error("there is none; write redis://HOST:6379")]
    NoUrl,
    /// The sentinels have to be asked for a name.
    #[error("the path of redis+sentinel:// is the name of the master, such as /mymaster")]
    NoMaster,
    /// The URLs of one Redis say different things.
    #[error(
        "the URLs have different users, passwords or paths; they are of one cluster, or of the sentinels of one master"
    )]
    Differ,
    /// A cluster has one database.
    #[error("a cluster has no database but 0; leave out the path")]
    ClusterDatabase,
    /// The path is no number of a database.
    #[error("the path is no number of a database, such as /0")]
    Database,
    /// User or password are not UTF-8 once decoded.
    #[error("the user, the password or the master's name is not UTF-8")]
    NotUtf8,
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] OutboundError),
}

/// Why a channel or a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubscribeError {
    /// The name is empty or too long.
    #[error("a channel or a stream of Redis has a name of 1 to {CHANNEL_BYTES_MAX} bytes")]
    Name,
    /// There are as many as there may be.
    #[error("there are {FEEDS_MAX} feeds from Redis already")]
    TooMany,
    /// The hub has no memory for it.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

impl Redis {
    /// Connects in the background; it does not have to be there yet. Of a message or an entry `keep_bytes` are kept.
    ///
    /// # Errors
    /// When the URLs can never be used.
    pub(crate) fn open(
        urls: &[ServerUrl],
        ledger: &Arc<Ledger>,
        budget: &Arc<Budget>,
        keep_bytes: usize,
    ) -> Result<Redis, RedisStartError> {
        let servers = Servers::new(Target::of(urls)?);
        let (ledger, budget) = (Arc::clone(ledger), Arc::clone(budget));
        let shared = Arc::new(Shared { servers, ledger, budget, keep_bytes });
        let commands = Commands::new(&shared);
        let channels = Channels::new(&shared);
        let streams = Streams::new(&shared);
        Ok(Redis(Arc::new(RedisHandle { commands, channels, streams })))
    }

    /// The Redis of the configuration.
    ///
    /// # Errors
    /// When there is none, or the URLs can never be used.
    pub(crate) fn of_config(hub: &Hub, config: &Config) -> Result<Redis, RedisStartError> {
        Redis::open(&config.redis_url, hub.ledger(), hub.budget(), config.max_event_bytes)
    }

    /// Sends a command and waits for its answer, for a limited time. In a cluster it goes to the server that has its first
    /// argument as a key. Dropping the future gives up waiting; the command may have been carried out.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, CommandError> {
        self.0.commands.send(command).await
    }

    /// What is published on channels.
    pub(crate) fn channels(&self) -> &Channels {
        &self.0.channels
    }

    /// The entries of streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }
}

impl Shared {
    fn target(&self) -> &Target {
        &self.servers.target
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisHandle { commands, channels, streams } = &*self.0;
        f.debug_struct("Redis")
            .field("commands", commands)
            .field("channels", channels)
            .field("streams", streams)
            .finish()
    }
}
