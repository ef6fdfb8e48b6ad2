//! Every limit of the rules, named, with its unit and the reason for its value.
//!
//! What an operator may change is in the server's configuration; here are the fixed sizes from which others are
//! derived.

/// Highest sequence number an id may carry. JavaScript holds integers exactly up to 2^53 - 1, and an id must
/// survive a client that (wrongly) takes it apart.
pub const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// Longest text of an id, bytes: 12 characters of epoch, a dash, up to 16 digits.
pub const ID_TEXT_BYTES_MAX: usize = 12 + 1 + 16;

/// Longest `Last-Event-ID` that is looked at at all, bytes. Anything longer is no id of ours.
pub const RESUME_TEXT_BYTES_MAX: usize = 128;

/// What a frame counts for beside its bytes where a session's history is limited in bytes. What it is charged depends on
/// the allocator, too: [`frame_charge`](crate::frame_charge).
pub const FRAME_OVERHEAD_BYTES: usize = 96;

/// What the ring keeps of a frame: its pointer and its expiry, twice, since a ring that grows doubles.
pub const RING_ENTRY_BYTES: usize = 32;

/// What a session costs beside its frames, its name and its shard views: the struct, its entries in the
/// registry.
pub const SESSION_OVERHEAD_BYTES: usize = 544;

/// Tombstones at most. Each is for a session that was ended; beyond this the oldest go, and whoever comes back to one
/// of those is told of a new epoch.
pub const TOMBSTONES_MAX: usize = 100_000;

/// What a tombstone costs, bytes.
pub const TOMBSTONE_BYTES: usize = 128;

/// What a subscriber costs: its record in a shard, its timer, its membership.
pub const SUBSCRIBER_OVERHEAD_BYTES: usize = 384;

/// What a right to streams costs: its record, its question, its user, its entry in the registry.
pub const ACCESS_BYTES: usize = 320;

/// Stripes of the registry of rights. Each has a lock of its own.
pub const ACCESS_STRIPES: usize = if cfg!(loom) { 1 } else { 16 };

/// Stripes of the registry. Each has a lock of its own; a power of two. Two for the model checker, which
/// tries every order of taking them.
pub const REGISTRY_STRIPES: usize = if cfg!(loom) { 2 } else { 64 };

/// Sessions that one slice of cleanup looks at before it lets go of the stripe's lock.
pub const CLEANUP_SLICE: usize = 128;

/// Buckets of the timer wheel; a power of two and a multiple of 64 (the occupancy map is made of words).
pub const WHEEL_BUCKETS: usize = 1024;

/// Milliseconds that one bucket of the wheel spans. 1024 x 64 ms = 65 s, more than the longest regular timer.
pub const WHEEL_BUCKET_MS: u64 = 64;

/// A threshold is left again only below this share of it, in percent: hysteresis.
pub const HYSTERESIS_PERCENT: usize = 90;

/// How long without progress a subscriber still counts as reading, milliseconds: while it reads it may slow
/// publishers down, once it stalls it may not. Longer than one round of a client that reads a thousand streams with
/// megabytes waiting in each.
pub const READING_PATIENCE_MS: u64 = 5_000;

/// The same for a socket that has not yet proved that it reads, milliseconds: a socket that never reads slows no
/// publisher down for longer.
pub const NEWCOMER_PATIENCE_MS: u64 = 1_000;

/// How long one socket may slow publishers down while others have caught up, milliseconds, from when it had last
/// caught up itself. Publishers wait for readers that are all slow, not for one that is slower than the others.
pub const HOLD_MAX_MS: u64 = 2_000;

/// What a socket must take after it was full for the first time to have proved that it reads, bytes. More than
/// a peer's kernel takes by itself.
pub const PROOF_BYTES: usize = 256 * 1024;

const _: () = assert!(NEWCOMER_PATIENCE_MS < READING_PATIENCE_MS);
const _: () = assert!(REGISTRY_STRIPES.is_power_of_two());
const _: () = assert!(WHEEL_BUCKETS.is_power_of_two() && WHEEL_BUCKETS.is_multiple_of(64));
const _: () = assert!(ID_TEXT_BYTES_MAX <= RESUME_TEXT_BYTES_MAX);
const _: () = assert!(SEQUENCE_MAX < 1 << 53);
