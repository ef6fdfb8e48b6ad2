//! The HTTP/1.1 chunk around an event ([RFC 9112, section 7.1][rfc]), and the chunks that never change.
//!
//! An event and its chunk header stand in one piece of memory, so that a plain socket takes the whole in one
//! write and HTTP/2 a slice of it. Knows nothing of what is inside.
//!
//! [rfc]: https://www.rfc-editor.org/rfc/rfc9112#section-7.1

/// What a hub says when it has nothing to say: an empty comment, and a blank line for readers that wait for one.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// A heartbeat that says more: what feeds the stream does not answer.
pub const WAITING: &[u8] = b": waiting for source\n\n";

/// What ends the time of [`WAITING`].
pub const SOURCE_BACK: &[u8] = b": source is back\n\n";

/// [`WAITING`] as an HTTP/1.1 chunk.
pub const WAITING_CHUNK: &[u8] = b"16\r\n: waiting for source\n\n\r\n";

/// [`SOURCE_BACK`] as an HTTP/1.1 chunk.
pub const SOURCE_BACK_CHUNK: &[u8] = b"12\r\n: source is back\n\n\r\n";

/// [`HEARTBEAT`] as an HTTP/1.1 chunk.
pub const HEARTBEAT_CHUNK: &[u8] = b"3\r\n:\n\n\r\n";

/// The chunk that ends an HTTP/1.1 body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub(crate) const CRLF: &[u8; 2] = b"\r\n";

/// The bytes inside one chunk: without the size line and the line end after it.
///
/// Meant for chunks made by an [`Encoder`](crate::Encoder). Of anything too short to be a chunk it makes nothing.
#[must_use]
pub fn unchunk(chunk: &[u8]) -> &[u8] {
    let content = memchr::memchr(b'\n', chunk).map(|size_line_end| size_line_end + 1);
    let end = chunk.len().saturating_sub(CRLF.len());
    content.and_then(|start| chunk.get(start..end)).unwrap_or_default()
}

/// How many hexadecimal digits write `size`.
pub(crate) fn size_digits(size: usize) -> usize {
    let bits = usize::BITS - size.leading_zeros();
    bits.div_ceil(4).max(1) as usize
}

/// Writes `size` in hexadecimal and a line end so that they end at `end`; returns where they start.
pub(crate) fn write_size_line_before(buffer: &mut [u8], end: usize, size: usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits_end = end - CRLF.len();
    let start = digits_end - size_digits(size);
    buffer[digits_end..end].copy_from_slice(CRLF);
    let mut left = size;
    for digit in buffer[start..digits_end].iter_mut().rev() {
        *digit = DIGITS[left & 15];
        left >>= 4;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SIZE_DIGITS_MAX;

    #[test]
    fn the_size_line_is_the_size_in_hexadecimal_for_every_length_of_it() {
        let shifts = (0..usize::BITS).map(|shift| 1usize << shift);
        for size in shifts.flat_map(|size| [size - 1, size, size + 1]).chain([usize::MAX]) {
            let mut buffer = [b'.'; SIZE_DIGITS_MAX + 2 + 3];
            let start = write_size_line_before(&mut buffer, SIZE_DIGITS_MAX + 2, size);
            assert_eq!(&buffer[start..], format!("{size:x}\r\n...").as_bytes());
            assert!(buffer[..start].iter().all(|byte| *byte == b'.'));
        }
    }

    #[test]
    fn a_heartbeat_is_its_own_chunk() {
        for (chunk, block) in
            [(HEARTBEAT_CHUNK, HEARTBEAT), (WAITING_CHUNK, WAITING), (SOURCE_BACK_CHUNK, SOURCE_BACK)]
        {
            assert_eq!(unchunk(chunk), block);
            assert!(chunk.starts_with(format!("{:x}\r\n", block.len()).as_bytes()));
        }
    }

    #[test]
    fn what_is_no_chunk_unchunks_to_nothing() {
        assert_eq!(unchunk(LAST_CHUNK), b"");
        for junk in ["", "\n", "3\r\n", "3\r\n\r", "no line end", "\r\n"] {
            assert_eq!(unchunk(junk.as_bytes()), b"", "{junk:?}");
        }
    }
}
