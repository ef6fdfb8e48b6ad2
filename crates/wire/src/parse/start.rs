//! The start of a stream: one byte order mark is not part of it, also when it comes in pieces.

/// The bytes of U+FEFF in UTF-8.
const BOM: &[u8; 3] = b"\xEF\xBB\xBF";

/// Where a stream stands with regard to its byte order mark.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// So many bytes were seen (fewer than the mark has), all of them like the mark's.
    Within(usize),
    /// The mark, or the position where it would have been, is behind.
    Past,
}

impl Default for Start {
    fn default() -> Start {
        Start::Within(0)
    }
}

impl Start {
    /// Takes what may be the mark off `rest`. Gives back bytes of earlier calls that turned out to be content.
    pub(super) fn skip(&mut self, rest: &mut &[u8]) -> &'static [u8] {
        let Start::Within(before) = *self else { return &[] };
        let mut matched = before;
        while let Some((first, after)) = rest.split_first() {
            if *first != BOM[matched] {
                *self = Start::Past;
                return &BOM[..matched];
            }
            *rest = after;
            matched += 1;
            if matched == BOM.len() {
                *self = Start::Past;
                return &[];
            }
        }
        *self = Start::Within(matched);
        &[]
    }
}
