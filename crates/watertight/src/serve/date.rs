//! The `date` field of answers that are written without hyper (RFC 9110, section 6.6.1): made once a second by each thread.

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

const FIELD: &[u8; 37] = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

thread_local! {
    static LAST: Cell<(u64, [u8; 37])> = const { Cell::new((0, *FIELD)) };
}

/// Writes the field with its line end.
pub(super) fn write(into: &mut Vec<u8>) {
    into.extend_from_slice(&at(crate::clock::wall_clock().as_secs()));
}

/// Its value alone.
pub(super) fn now() -> String {
    let field = at(crate::clock::wall_clock().as_secs());
    String::from_utf8_lossy(&field[6..35]).into_owned()
}

fn at(seconds: u64) -> [u8; 37] {
    let (made, mut field) = LAST.get();
    if made != seconds {
        let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        // It has this length up to the year 9999, which no clock shows.
        if date.len() == 29 {
            field[6..35].copy_from_slice(date.as_bytes());
            LAST.set((seconds, field));
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn the_field_says_the_second_it_is_asked_for() {
        assert_eq!(&at(0), b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        for _ in 0..2 {
            assert_eq!(&at(784_111_777), b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        }
        assert_eq!(&at(784_111_778), b"date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }
}
