//! What can go wrong at the hub's boundary. One enum per call, with a stable code and whether a retry helps.

use std::time::Duration;

use watertight_core::{AccessError, Epoch, Exhausted, InvalidSessionName, RegistryError};

use crate::config::InvalidConfig;

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A figure makes no sense.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The operating system refused a poller or a thread.
    #[error("cannot start a pump: {0}")]
    Io(#[from] std::io::Error),
}

/// Why an event was not taken. Nothing of a refused call is in the log unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The session's name cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidSessionName),
    /// The event is larger than the hub takes.
    #[error("an event may carry at most {max_bytes} bytes of data, this one has {bytes}")]
    TooLarge {
        /// Bytes of its data.
        bytes: usize,
        /// The limit in force.
        max_bytes: usize,
    },
    /// The batch is more than the session's log could hold at once.
    #[error(
        "a batch may have at most {max_events} events and {max_bytes} bytes once encoded, this one has {events} \
         events and {bytes} bytes"
    )]
    BatchTooLarge {
        /// Events in it.
        events: usize,
        /// `max_queue_size`.
        max_events: usize,
        /// Bytes that it would be charged.
        bytes: usize,
        /// `max_history_bytes_per_session`.
        max_bytes: usize,
    },
    /// The type is one of the hub's own (`gap`, `error`), which a publisher must not forge.
    #[error("the event type {0:?} is the hub's own")]
    Reserved(String),
    /// There are too many sessions.
    #[error(transparent)]
    Sessions(#[from] RegistryError),
    /// There is no memory for it, even after letting history go.
    #[error(transparent)]
    Memory(#[from] Exhausted),
    /// The session was ended: it takes no events, unless the publish is to begin it anew.
    #[error("the session has ended and takes no events; a publish with reopen=true begins it anew")]
    SessionEnded,
    /// The publish was meant for another life of the session's log.
    #[error("the session's log is not the one that was written to: it began anew since")]
    EpochChanged {
        /// The life that there is now; `None`: there is no such session.
        current: Option<Epoch>,
    },
    /// The hub is stopping.
    #[error("the hub is shutting down")]
    ShuttingDown,
    /// The operating system gave no randomness for a new session's epoch.
    #[error("no randomness for a new session: {0}")]
    Randomness(String),
}

/// Why a batch was not taken. Nothing of it is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BatchError {
    /// The event that was refused; `None`: the batch as a whole.
    pub index: Option<usize>,
    /// Why.
    pub error: PublishError,
}

impl From<PublishError> for BatchError {
    fn from(error: PublishError) -> Self {
        BatchError { index: None, error }
    }
}

/// Why a subscription was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The session's name cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidSessionName),
    /// There are too many sessions.
    #[error(transparent)]
    Sessions(#[from] RegistryError),
    /// There is no memory for a newcomer.
    #[error(transparent)]
    Memory(#[from] Exhausted),
    /// The right under which it was to be opened was withdrawn, or its user has too many streams.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The hub refuses newcomers until memory is free again.
    #[error("the hub is above its memory threshold and takes no newcomers")]
    Overloaded,
    /// What feeds the session has failed too often and is not tried for a while.
    #[error("what feeds this session has failed too often; it is tried again in {} s", retry_after.as_secs().max(1))]
    SourceBroken {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// The hub is stopping.
    #[error("the hub is shutting down")]
    ShuttingDown,
    /// The operating system gave no randomness for a new session's epoch.
    #[error("no randomness for a new session: {0}")]
    Randomness(String),
}

/// Why a session could not be had; turned into the caller's error.
#[derive(Debug)]
pub(crate) enum SessionError {
    Registry(RegistryError),
    Memory(Exhausted),
    Randomness(String),
}

impl From<RegistryError> for SessionError {
    fn from(error: RegistryError) -> Self {
        SessionError::Registry(error)
    }
}

impl From<SessionError> for PublishError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Registry(error) => PublishError::Sessions(error),
            SessionError::Memory(error) => PublishError::Memory(error),
            SessionError::Randomness(error) => PublishError::Randomness(error),
        }
    }
}

impl From<SessionError> for SubscribeError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Registry(error) => SubscribeError::Sessions(error),
            SessionError::Memory(error) => SubscribeError::Memory(error),
            SessionError::Randomness(error) => SubscribeError::Randomness(error),
        }
    }
}
