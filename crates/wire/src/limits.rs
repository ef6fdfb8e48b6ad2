//! Every limit of the wire format, named, with its unit and the reason for its value.
//!
//! What a caller may choose (how large an event may be) is an argument of the parser; what stands here is not.

/// Longest event type, bytes. A type is a name that programs compare, not a place for content.
pub const MAX_EVENT_TYPE_BYTES: usize = 256;

/// Longest event id, bytes. A browser sends it back as `Last-Event-ID`, and asks for permission first
/// (a CORS preflight) when that header is longer than 128 bytes.
pub const MAX_EVENT_ID_BYTES: usize = 128;

/// Longest data of one event that the encoder is meant for, bytes. A hub's own limit must not be above it:
/// below, the length of every encoded event fits in 32 bits, even if each byte of the data is a line break.
pub const MAX_DATA_BYTES: usize = 256 << 20;

/// Longest text of a comment that the parser keeps, bytes. The rest of a longer one is discarded as it comes.
pub const MAX_COMMENT_BYTES: usize = 1024;

/// What a parser lets an event hold unless told otherwise, bytes: four times what a hub accepts by default.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 1 << 20;

/// Buffer that an encoder or a parser keeps from one event to the next, bytes. What a rare large event needed
/// beyond that is given back.
pub const KEPT_BUFFER_BYTES: usize = 64 << 10;

/// Buffer that a parser keeps for a type, an id or a comment, bytes.
pub const KEPT_FIELD_BYTES: usize = 1024;

/// Digits of a chunk's size, at most: a `usize` in hexadecimal.
pub(crate) const SIZE_DIGITS_MAX: usize = 2 * size_of::<usize>();

/// What one line break in the data becomes, bytes: `"\ndata: "`.
pub(crate) const LINE_BREAK_ENCODED_BYTES: usize = 7;

const LARGEST_ENCODED_BYTES: usize = 2 * LINE_BREAK_ENCODED_BYTES
    + LINE_BREAK_ENCODED_BYTES * MAX_DATA_BYTES
    + (MAX_EVENT_TYPE_BYTES + "event: \n".len())
    + (MAX_EVENT_ID_BYTES + "id: \n".len())
    + (SIZE_DIGITS_MAX + 2 * "\r\n".len());

const _: () = assert!(LARGEST_ENCODED_BYTES <= 0xffff_ffff);
const _: () = assert!(MAX_EVENT_TYPE_BYTES <= KEPT_FIELD_BYTES && MAX_EVENT_ID_BYTES <= KEPT_FIELD_BYTES);
const _: () = assert!(MAX_COMMENT_BYTES <= KEPT_FIELD_BYTES);
