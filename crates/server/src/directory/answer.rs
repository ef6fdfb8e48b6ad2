//! What a directory answers, and why it does not.

use std::sync::Arc;

use crate::config::SecretFileError;
use crate::outbound::OutboundError;
use crate::redis::RedisStartError;

/// What a directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The user may.
    Allowed,
    /// The user may not: 403.
    Denied,
    /// There is no such deployment or service: 404.
    Unknown,
}

impl Answer {
    pub(super) const ALL: [Answer; 3] = [Answer::Allowed, Answer::Denied, Answer::Unknown];

    /// The answer's name in figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Answer::Allowed => "allowed",
            Answer::Denied => "denied",
            Answer::Unknown => "unknown",
        }
    }
}

/// Why there is no answer. Trying again later may help with all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It took too long.
    #[error("the directory does not answer in time")]
    TimedOut,
    /// There is no connection, or it broke.
    #[error("the directory cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// It answered something that is no answer.
    #[error("the directory gives no answer: {0}")]
    NoAnswer(Arc<str>),
    /// It failed several times in a row.
    #[error("the directory failed several times in a row and is left alone for a moment")]
    Resting,
    /// As many questions are under way as there may be.
    #[error("as many questions to the directory are under way as there may be")]
    Overloaded,
    /// The budget has no room for a question.
    #[error("there is no memory for a question to the directory")]
    NoMemory,
    /// The hub stops.
    #[error("the directory is asked no more")]
    Stopped,
}

impl DirectoryError {
    /// The names of all, as figures have them.
    pub(super) const NAMES: [&'static str; 7] =
        ["timeout", "unreachable", "no_answer", "resting", "overloaded", "no_memory", "stopped"];

    /// Its number among the names.
    pub(super) fn index(&self) -> usize {
        match self {
            DirectoryError::TimedOut => 0,
            DirectoryError::Unreachable(_) => 1,
            DirectoryError::NoAnswer(_) => 2,
            DirectoryError::Resting => 3,
            DirectoryError::Overloaded => 4,
            DirectoryError::NoMemory => 5,
            DirectoryError::Stopped => 6,
        }
    }
}

/// Why a directory can never work as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryStartError {
    /// The webhook's secret cannot be read.
    #[error("webhook_secret_file: {0}; name a file that this user may read")]
    SecretFile(#[from] SecretFileError),
    /// The webhook's secret can be guessed.
    #[error(
        "webhook_secret: shorter than {min} bytes; make one by `openssl rand -hex 32` and give it to the application too"
    )]
    ShortSecret {
        /// How many bytes it has to have.
        min: usize,
    },
    /// No webhook is configured.
    #[error("directory = \"webhook\" needs webhook_url and webhook_secret_file")]
    NoWebhook,
    /// The webhook cannot be connected to.
    #[error("webhook_url: {0}")]
    Webhook(#[from] OutboundError),
    /// Redis cannot be used.
    #[error("redis_url: {0}")]
    Redis(#[from] RedisStartError),
}
