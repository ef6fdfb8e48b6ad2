//! Every limit and time of the client, with its unit and reason. Knows no socket.

use std::time::Duration;

/// A TCP connection must be up within this time.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a stream's answer must arrive within this time.
pub const STREAM_HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// One publishing request must be answered within this time. Generous, because the hub holds back
/// its 202 from a publisher that outruns delivery.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one publish goes on retrying before it gives up.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

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

const _: () = assert!(RETRY_MIN.as_millis() < RETRY_MAX.as_millis());
const _: () = assert!(READ_TIMEOUT_MIN.as_secs() < READ_TIMEOUT_MAX.as_secs());
