//! The bytes of an output as UTF-8: what begins with a byte order mark of UTF-16 is decoded, everything else passes as it
//! is. Pure.

/// A byte order mark, and what it says.
const MARKS: [(&[u8], Encoding); 3] = [
    (b"\xff\xfe", Encoding::Utf16(u16::from_le_bytes)),
    (b"\xfe\xff", Encoding::Utf16(u16::from_be_bytes)),
    (b"\xef\xbb\xbf", Encoding::Utf8),
];

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16(fn([u8; 2]) -> u16),
}

/// Decodes one output, in pieces cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// `None`: what came so far may be the beginning of a byte order mark.
    encoding: Option<Encoding>,
    /// Bytes that say nothing without those that follow: of a mark, or half a unit of UTF-16.
    begun: Vec<u8>,
    /// The first half of a pair of UTF-16.
    high: Option<u16>,
}

impl Decoder {
    /// Decodes more bytes.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let (Some(Encoding::Utf8), true) = (self.encoding, self.begun.is_empty()) {
            return out.extend_from_slice(bytes);
        }
        self.begun.extend_from_slice(bytes);
        if self.encoding.is_none() {
            let begun = &self.begun;
            if let Some((mark, encoding)) = MARKS.into_iter().find(|(mark, _)| begun.starts_with(mark)) {
                self.begun.drain(..mark.len());
                self.encoding = Some(encoding);
            } else if !MARKS.iter().any(|(mark, _)| mark.starts_with(begun)) {
                self.encoding = Some(Encoding::Utf8);
            }
        }
        match self.encoding {
            None => {}
            Some(Encoding::Utf8) => out.append(&mut self.begun),
            Some(Encoding::Utf16(unit)) => {
                let (units, rest) = self.begun.as_chunks::<2>();
                for pair in units {
                    decode(&mut self.high, unit(*pair), out);
                }
                let rest = rest.to_vec();
                self.begun = rest;
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.encoding {
            Some(Encoding::Utf16(_)) => {
                let is_cut_off = self.high.take().is_some() || !self.begun.is_empty();
                self.begun.clear();
                if is_cut_off {
                    put(char::REPLACEMENT_CHARACTER, out);
                }
            }
            _ => out.append(&mut self.begun),
        }
    }
}

fn decode(high: &mut Option<u16>, unit: u16, out: &mut Vec<u8>) {
    if let Some(first) = high.take() {
        if let Some(Ok(character)) = char::decode_utf16([first, unit]).next() {
            return put(character, out);
        }
        put(char::REPLACEMENT_CHARACTER, out);
    }
    match unit {
        0xd800..0xdc00 => *high = Some(unit),
        _ => put(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER), out),
    }
}

fn put(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, however it is cut into pieces.
    fn decoded(bytes: &[u8]) -> String {
        let of = |size: usize| {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            bytes.chunks(size).for_each(|piece| decoder.push(piece, &mut out));
            decoder.finish(&mut out);
            assert!(decoder.begun.is_empty());
            String::from_utf8_lossy(&out).into_owned()
        };
        let whole = of(bytes.len().max(1));
        for size in 1..=bytes.len() {
            assert_eq!(of(size), whole, "in pieces of {size}");
        }
        whole
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn utf16_with_a_mark_is_decoded_however_it_is_cut() {
        let text = "wörld €\r\n😀 end\n";
        assert_eq!(decoded(&utf16(text, u16::to_le_bytes)), text);
        assert_eq!(decoded(&utf16(text, u16::to_be_bytes)), text);
    }

    #[test]
    fn halves_of_utf16_become_the_replacement_character() {
        assert_eq!(decoded(b"\xff\xfea\0\x3d\xd8b\0"), "a\u{fffd}b", "a first half without a second");
        assert_eq!(decoded(b"\xff\xfe\0\xde!\0"), "\u{fffd}!", "a second half without a first");
        assert_eq!(decoded(b"\xff\xfea\0\x3d\xd8"), "a\u{fffd}");
        assert_eq!(decoded(b"\xff\xfea\0b"), "a\u{fffd}");
    }

    #[test]
    fn everything_else_passes_and_a_mark_of_utf8_is_no_text() {
        assert_eq!(decoded("\u{feff}aü\n".as_bytes()), "aü\n");
        for same in ["", "a", "aü€😀\0\u{1b}[1m\r\n"] {
            assert_eq!(decoded(same.as_bytes()), same);
        }
        assert_eq!(decoded(b"\xff"), "\u{fffd}", "what only began like a mark");
        assert_eq!(decoded(b"\xef\xbbx"), "\u{fffd}x");
    }
}
