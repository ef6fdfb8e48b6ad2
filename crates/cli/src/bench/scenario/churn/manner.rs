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
    /// Over TLS: sends the beginning of a handshake and closes.
    HalfHandshake,
    /// Over TLS: sends its part of a handshake and resets before the answer.
    HandshakeReset,
}

/// Those that mean something over TLS alone come last.
const MANNERS: [Manner; 10] = [
    Manner::Fin,
    Manner::Reset,
    Manner::Silent,
    Manner::HalfHead,
    Manner::HalfHeadReset,
    Manner::Junk,
    Manner::Stalled,
    Manner::StalledReset,
    Manner::HalfHandshake,
    Manner::HandshakeReset,
];
const OF_PLAIN: usize = 8;

/// The beginning of a ClientHello.
const HALF_HANDSHAKE: &[u8] = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";

impl Manner {
    /// All of them in turn.
    pub(super) fn of(index: u64, is_tls: bool) -> Self {
        let count = if is_tls { MANNERS.len() } else { OF_PLAIN };
        MANNERS[(index % count as u64) as usize]
    }

    /// What it sends below TLS, in place of all else.
    pub(super) fn below_tls(self) -> Option<&'static [u8]> {
        match self {
            Self::Silent => Some(&[]),
            Self::HalfHandshake => Some(HALF_HANDSHAKE),
            _ => None,
        }
    }

    /// Whether it goes before a handshake has come to its end.
    pub(super) fn leaves_in_handshake(self) -> bool {
        matches!(self, Self::Silent | Self::HalfHandshake | Self::HandshakeReset)
    }

    /// Whether it tells TLS of its end: the half of those that close in an orderly way.
    pub(super) fn says_end(self, index: u64) -> bool {
        matches!(self, Self::Fin | Self::Junk) && index.is_multiple_of(3)
    }

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
        matches!(self, Self::Reset | Self::HalfHeadReset | Self::StalledReset | Self::HandshakeReset)
    }
}
