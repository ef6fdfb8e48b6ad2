//! Why the hub ends a stream, and how a stream ended.

/// Why the hub ends a stream. Each has a stable code that is told to the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// The connection reached its maximum age.
    Timeout,
    /// The token it was opened with ran out.
    TokenExpired,
    /// The token it was opened with was revoked.
    TokenRevoked,
    /// The right to read this was taken away.
    Forbidden,
    /// Too many errors in a row.
    CircuitOpen,
    /// The peer accepted no bytes for too long, or lagged when memory was short.
    SlowConsumer,
    /// The session was ended.
    SessionEnded,
    /// The hub is stopping.
    ShuttingDown,
    /// The hub has no room.
    Overloaded,
    /// An operator closed it.
    Disconnected,
}

impl CloseReason {
    /// All reasons.
    pub const ALL: [CloseReason; 10] = [
        CloseReason::Timeout,
        CloseReason::TokenExpired,
        CloseReason::TokenRevoked,
        CloseReason::Forbidden,
        CloseReason::CircuitOpen,
        CloseReason::SlowConsumer,
        CloseReason::SessionEnded,
        CloseReason::ShuttingDown,
        CloseReason::Overloaded,
        CloseReason::Disconnected,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::Timeout => "TIMEOUT",
            CloseReason::TokenExpired => "TOKEN_EXPIRED",
            CloseReason::TokenRevoked => "TOKEN_REVOKED",
            CloseReason::Forbidden => "FORBIDDEN",
            CloseReason::CircuitOpen => "CIRCUIT_OPEN",
            CloseReason::SlowConsumer => "SLOW_CONSUMER",
            CloseReason::SessionEnded => "SESSION_ENDED",
            CloseReason::ShuttingDown => "SHUTTING_DOWN",
            CloseReason::Overloaded => "OVERLOADED",
            CloseReason::Disconnected => "DISCONNECTED",
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            CloseReason::Timeout => "Connection timeout",
            CloseReason::TokenExpired => "Token expired",
            CloseReason::TokenRevoked => "Token revoked",
            CloseReason::Forbidden => "Access denied",
            CloseReason::CircuitOpen => "Too many errors in a row",
            CloseReason::SlowConsumer => "Reader too slow",
            CloseReason::SessionEnded => "Session ended",
            CloseReason::ShuttingDown => "Server is shutting down",
            CloseReason::Overloaded => "Server is overloaded",
            CloseReason::Disconnected => "Disconnected by an operator",
        }
    }

    /// Whether coming back makes sense: then the closing event carries a `retry:`.
    #[must_use]
    pub fn may_return(self) -> bool {
        !matches!(self, CloseReason::TokenRevoked | CloseReason::Forbidden | CloseReason::SessionEnded)
    }

    /// The closing event's data: `{"error","code"}`.
    #[must_use]
    pub fn to_json(self) -> String {
        format!("{{\"error\":\"{}\",\"code\":\"{}\"}}", self.message(), self.code())
    }
}

/// How a stream ended. The first one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The hub closed it, and its reader took the closing event.
    Closed(CloseReason),
    /// The hub cut it off: its reader did not take the closing event in time.
    CutOff(CloseReason),
    /// A long-poll was answered.
    Answered,
    /// The application let go of its subscription.
    Dropped,
    /// The peer closed the connection.
    PeerClosed,
    /// The peer reset the connection.
    PeerReset,
    /// The kernel closed the connection: the peer acknowledged nothing.
    PeerUnreachable,
    /// The peer kept sending behind its request.
    UnexpectedInput,
    /// Another error of the socket.
    SocketError,
}

impl End {
    /// Ends that are not the hub's.
    const OTHERS: [End; 7] = [
        End::Answered,
        End::Dropped,
        End::PeerClosed,
        End::PeerReset,
        End::PeerUnreachable,
        End::UnexpectedInput,
        End::SocketError,
    ];

    /// How many different names ends have.
    pub const NAMES: usize = CloseReason::ALL.len() + End::OTHERS.len();

    /// An end of each name.
    pub fn of_each_name() -> impl Iterator<Item = End> {
        CloseReason::ALL.into_iter().map(End::Closed).chain(End::OTHERS)
    }

    /// The end's name in the log: the reason's code where the hub ended the stream.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            End::Closed(reason) | End::CutOff(reason) => reason.code(),
            End::Answered => "ANSWERED",
            End::Dropped => "DROPPED",
            End::PeerClosed => "PEER_CLOSED",
            End::PeerReset => "PEER_RESET",
            End::PeerUnreachable => "PEER_UNREACHABLE",
            End::UnexpectedInput => "UNEXPECTED_INPUT",
            End::SocketError => "SOCKET_ERROR",
        }
    }

    /// Why the hub ended it, if the hub did.
    #[must_use]
    pub fn reason(self) -> Option<CloseReason> {
        match self {
            End::Closed(reason) | End::CutOff(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether bytes that wait are of no use to anybody: the connection is to be reset, not closed.
    #[must_use]
    pub fn is_hard(self) -> bool {
        matches!(self, End::CutOff(_) | End::UnexpectedInput)
    }
}
