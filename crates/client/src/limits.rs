//! Every limit and time of the client, with its unit and reason. Knows no socket.

use std::time::Duration;

/// A connection must be up within this time, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The first byte of a stream must arrive within this time, redirects, head and all. Two heartbeats: a proxy
/// that lets the head pass and keeps the rest is found out.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);

/// A function that gives tokens must have given one within this time.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects followed in a row. A browser follows 20; more than a few are a loop.
pub const REDIRECTS_MAX: u32 = 10;

/// So many attempts in a row without a byte of a stream, and long-poll is tried.
pub const FALLBACK_AFTER: u32 = 3;

/// While polling, the stream is tried again after this time, ...
pub const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(15);

/// ... which doubles up to this one.
pub const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(300);

/// Where whoever answers knows no long-poll, another one is tried after this time, ...
pub const POLL_AGAIN_MIN: Duration = Duration::from_secs(15);

/// ... which doubles up to this one.
pub const POLL_AGAIN_MAX: Duration = Duration::from_secs(300);

/// How long a hub is asked to hold a long-poll: its default, and below what proxies wait.
pub const POLL_WAIT: Duration = Duration::from_secs(25);

/// A long-poll must be answered this long after its wait is over.
pub const POLL_GRACE: Duration = Duration::from_secs(15);

/// Events asked for in one long-poll.
pub const POLL_EVENTS_MAX: usize = 100;

/// Between two long-polls of which the first was answered at once, with nothing: never a tight loop.
pub const POLL_PAUSE: Duration = Duration::from_secs(1);

/// Data that a hub puts into one answer to a long-poll, in bytes, however small its events are.
pub const POLL_DATA_BYTES: usize = 1024 * 1024;

/// A long-poll's answer may be this many times as long as the largest event taken: JSON writes a byte of text
/// in at most six, and beside the data there is little.
pub const POLL_BODY_FACTOR: usize = 8;

/// One publishing request must be answered within this time. Generous, because the hub holds back
/// its 202 from a publisher that outruns delivery.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one publish goes on retrying before it gives up.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// Requests of a publisher that are under way at once, all to different sessions, and the connections it keeps: as many
/// as a busy application has use for, and few for a hub with many of them.
pub const IN_FLIGHT_MAX: usize = 8;

/// Events in one request of `publish_all`; a hub takes 1,000 where nobody said less.
pub const BATCH_EVENTS_MAX: usize = 500;

/// JSON in one request of `publish_all`, in bytes, unless one event alone has more.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// How long an event waits for others to go with it, if no request is under way.
pub const BATCH_LINGER: Duration = Duration::from_millis(5);

/// Retries wait at least this long, whatever the hub says: never a tight loop.
pub const RETRY_MIN: Duration = Duration::from_millis(100);

/// Back-off ceiling; a `retry:` above it counts as this.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// Base of the back-off before the hub has sent a `retry:`.
pub const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// Base of a publisher's back-off: nobody tells it a `retry:`, and a hub restart takes well under a second.
pub const PUBLISH_RETRY_BASE: Duration = Duration::from_millis(200);

/// Ceiling of a publisher's back-off.
pub const PUBLISH_RETRY_MAX: Duration = Duration::from_secs(10);

/// A `Retry-After` above this counts as this, so that a typing error cannot park a client for a year.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// A stream without a byte for this many heartbeats is dead.
pub const SILENT_HEARTBEATS: u32 = 3;

/// Heartbeat interval assumed where the head does not name one.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// Silence shorter than this never counts as death, however fast the heartbeat.
pub const READ_TIMEOUT_MIN: Duration = Duration::from_secs(15);

/// Silence longer than this always does, whatever the head claims.
pub const READ_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// A connection that held this long was healthy, even if no event came: the back-off starts anew.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// hyper's read buffer for one connection, in bytes (it grows to 400 KiB if nobody says otherwise).
pub const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Largest event a subscriber takes, in bytes: the hub's default of 256 KiB with room for a raised one.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Longest error body read, in bytes; a problem document is a few hundred.
pub const ERROR_BODY_BYTES: usize = 16 * 1024;

/// Longest answer to a publish read, in bytes: room for 100,000 ids.
pub const ANSWER_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Longest `Last-Event-ID` sent, in bytes. A longer id came from something that is no hub of ours.
pub const LAST_EVENT_ID_BYTES: usize = 1024;

/// No ceiling of the back-off lies above this: a year, which no arithmetic on durations overflows.
pub const RETRY_CEILING_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const _: () = assert!(RETRY_MIN.as_millis() < RETRY_MAX.as_millis());
const _: () = assert!(RETRY_MIN.as_millis() <= RETRY_DEFAULT.as_millis());
const _: () = assert!(RETRY_DEFAULT.as_millis() <= RETRY_MAX.as_millis());
const _: () = assert!(PUBLISH_RETRY_BASE.as_millis() <= PUBLISH_RETRY_MAX.as_millis());
const _: () = assert!(CONNECT_TIMEOUT.as_millis() < FIRST_BYTE_TIMEOUT.as_millis());
// A stream whose hub only sends heartbeats must not be given up before the first of them.
const _: () = assert!(HEARTBEAT_DEFAULT.as_millis() < FIRST_BYTE_TIMEOUT.as_millis());
const _: () = assert!(PROBE_INTERVAL_MIN.as_millis() < PROBE_INTERVAL_MAX.as_millis());
const _: () = assert!(FALLBACK_AFTER > 0 && POLL_EVENTS_MAX > 0 && POLL_BODY_FACTOR > 6);
const _: () = assert!(READ_TIMEOUT_MIN.as_secs() < READ_TIMEOUT_MAX.as_secs());
