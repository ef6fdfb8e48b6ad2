//! The manners in which a connection comes and goes. Pure.

use super::super::super::hub::subscribe_request;

/// Sessions that are subscribed to in turn.
pub(super) const SESSIONS: u64 = 16;

/// A session with more history than a socket holds.
pub(super) const HISTORY_SESSION: &str = "churn-history";

/// Bytes behind a request that nobody asked for.
const JUNK_BYTES: usize = 8 * 1024;

pub(super) fn session(index: u64) -> String {
    format!("churn-{}", index % SESSIONS)
}

/// How a connection behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Subscribes, waits for the stream and closes.
    Fin,
    /// The same, but resets the connection.
    Reset,
    /// Connects and closes without a word.
    Silent,
    /// Sends half of a head and closes.
    HalfHead,
    /// Sends half of a head and resets.
    HalfHeadReset,
    /// Subscribes with bytes behind the request, waits for the stream and closes.
    Junk,
    /// Subscribes to a long history with a tiny buffer, does not read for a while, and closes.
    Stalled,
    /// The same, but resets the connection.
    StalledReset,
}

pub(super) const MANNERS: [Manner; 8] = [
    Manner::Fin,
    Manner::Reset,
    Manner::Silent,
    Manner::HalfHead,
    Manner::HalfHeadReset,
    Manner::Junk,
    Manner::Stalled,
    Manner::StalledReset,
];

impl Manner {
    /// What it sends once it is connected.
    pub(super) fn request(self, index: u64) -> Vec<u8> {
        let mut request = match self {
            Self::Silent => return Vec::new(),
            Self::Stalled | Self::StalledReset => {
                return subscribe_request(HISTORY_SESSION, "?replay=all", None);
            }
            _ => subscribe_request(&session(index), "", None),
        };
        match self {
            Self::HalfHead | Self::HalfHeadReset => request.truncate(request.len() / 2),
            Self::Junk => request.resize(request.len() + JUNK_BYTES, b'j'),
            _ => {}
        }
        request
    }

    /// Whether it waits for the head of an answer before it goes.
    pub(super) fn awaits_head(self) -> bool {
        matches!(self, Self::Fin | Self::Reset | Self::Junk)
    }

    pub(super) fn stalls(self) -> bool {
        matches!(self, Self::Stalled | Self::StalledReset)
    }

    pub(super) fn resets(self) -> bool {
        matches!(self, Self::Reset | Self::HalfHeadReset | Self::StalledReset)
    }
}
