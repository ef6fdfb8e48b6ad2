//! Every limit of tokens, keys and grants, named, with its unit and the reason for its value.

use std::time::Duration;

/// Longest token, bytes. Web servers refuse heads with longer lines, and claims of 50 patterns fit.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest header of a token once decoded, bytes: it names an algorithm and a key.
pub const HEADER_BYTES_MAX: usize = 2 * 1024;

/// Longest `sub`, bytes. It is kept for each stream and counted against limits per user.
pub const SUBJECT_BYTES_MAX: usize = 256;

/// Longest `jti`, bytes. It is kept for each stream, so that it can be revoked.
pub const TOKEN_ID_BYTES_MAX: usize = 256;

/// Longest `iss`, and longest member of `aud`, bytes.
pub const ISSUER_BYTES_MAX: usize = 512;

/// Members of an `aud` list at most: each is compared with each configured audience.
pub const AUDIENCES_MAX: usize = 32;

/// Longest `kid`, bytes, in a token and in a key set.
pub const KEY_NAME_BYTES_MAX: usize = 256;

/// Patterns in one list of a claim at most: every publish and subscribe may try them all.
pub const PATTERNS_MAX: usize = 64;

/// Longest pattern, bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Segments of a pattern at most.
pub const PATTERN_SEGMENTS_MAX: usize = 16;

/// Longest path that is matched with patterns, bytes: a session's name of 512 bytes, which is the most that may be
/// configured, and what stands before it fit twice.
pub const PATH_BYTES_MAX: usize = 2 * 1024;

/// Latest time that is kept, seconds since 1970: the end of the year 9999. A later `exp` counts as this one.
pub const SECONDS_MAX: u64 = 253_402_300_799;

/// Longest secret or key file, bytes. A certificate chain has about 5 KB.
pub const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Keys in one file at most: two are there during a rotation.
pub const FILE_KEYS_MAX: usize = 8;

/// Static keys at most, of all settings together: a token that names no key may be tried with each.
pub const STATIC_KEYS_MAX: usize = 16;

/// RSA keys have at least so many bits (NIST SP 800-131A).
pub const RSA_BITS_MIN: usize = 2048;

/// And at most so many: verification takes time that grows with the square of the length.
pub const RSA_BITS_MAX: usize = 8192;

/// Key sets (`jwks_url`) at most.
pub const KEY_SETS_MAX: usize = 8;

/// Longest answer of a key set's URL, bytes. Sets of large issuers have about 20 KB.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Keys of a set that are looked at. Later ones are passed over.
pub const SET_KEYS_MAX: usize = 64;

/// What a set costs at most, bytes: its keys, twice while a new one is taken, and the digests of unknown names.
pub const KEY_SET_STATE_BYTES: usize = 2 * SET_KEYS_MAX * 1536 + 4 * UNKNOWN_NAMES_MAX * 34;

/// Keys of a set that are tried with a token which names none.
pub const UNNAMED_KEYS_TRIED_MAX: usize = 4;

/// Names of unknown keys that are remembered between two questions to a key set. Beyond this a token with one more
/// unknown name is answered "try again later" instead of "not valid".
pub const UNKNOWN_NAMES_MAX: usize = 1024;

/// Passed-over keys of a set that are remembered, so that each is logged once.
pub const PASSED_OVER_MAX: usize = 256;

/// How long an issuer may take for one answer.
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

/// How long an issuer may take to accept a connection.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Shortest wait after a failed question to a key set; it doubles with each failure in a row, up to the cool-down.
pub const RETRY_MIN: Duration = Duration::from_millis(200);

/// Longest answer to an introspection, bytes.
pub const INTROSPECTION_BYTES_MAX: usize = 64 * 1024;

/// Introspections under way at most; beyond this a token is answered "try again later".
pub const INTROSPECTIONS_MAX: usize = 64;

/// Answers to introspections that are kept for a moment.
pub const INTROSPECTIONS_KEPT_MAX: usize = 4096;

/// What one kept answer costs beside its texts, bytes.
pub const INTROSPECTION_OVERHEAD_BYTES: usize = 384;

/// How long an answer to an introspection is used again for new streams.
pub const INTROSPECTION_CACHE: Duration = Duration::from_secs(5);

/// When to come back after a refusal that says so, where nothing else is known.
pub const COME_BACK: Duration = Duration::from_secs(1);

const _: () = assert!(PATTERN_BYTES_MAX < PATH_BYTES_MAX && HEADER_BYTES_MAX < TOKEN_BYTES_MAX);
const _: () = assert!(
    RETRY_MIN.as_millis() < COME_BACK.as_millis() && CONNECT_TIME_MAX.as_secs() < FETCH_TIME_MAX.as_secs()
);
