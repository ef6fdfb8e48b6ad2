//! A body as it comes in: plain or gzip, never longer than is read, before and after it is decompressed.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use watertight_core::Exhausted;

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It is longer than is read.
    TooLarge,
    /// It is no gzip, or cut off.
    Gzip,
    /// The budget has no room for what it says.
    Exhausted,
}

impl From<Exhausted> for Failed {
    fn from(_: Exhausted) -> Failed {
        Failed::Exhausted
    }
}

/// Counts a body and hands on its text.
pub(crate) struct Body {
    gzip: Option<MultiGzDecoder<Text>>,
    bytes_left: usize,
}

/// Where the decompressor writes. It hands over at most a buffer of 32 KiB at a time, which is taken before it goes on.
struct Text {
    bytes: Vec<u8>,
    bytes_left: usize,
    is_too_large: bool,
}

impl Write for Text {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let Some(left) = self.bytes_left.checked_sub(piece.len()) else {
            self.is_too_large = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.bytes_left = left;
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    pub(crate) fn new(is_gzip: bool, bytes_max: usize) -> Body {
        let text = || Text { bytes: Vec::new(), bytes_left: bytes_max, is_too_large: false };
        Body { gzip: is_gzip.then(|| MultiGzDecoder::new(text())), bytes_left: bytes_max }
    }

    pub(crate) fn feed(
        &mut self,
        mut piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Exhausted>,
    ) -> Result<(), Failed> {
        self.bytes_left = self.bytes_left.checked_sub(piece.len()).ok_or(Failed::TooLarge)?;
        let Some(gzip) = &mut self.gzip else {
            return Ok(take(piece)?);
        };
        while !piece.is_empty() {
            let read = match gzip.write(piece) {
                Ok(0) => Err(Failed::Gzip),
                Ok(read) => Ok(read),
                Err(_) if gzip.get_ref().is_too_large => Err(Failed::TooLarge),
                Err(_) => Err(Failed::Gzip),
            }?;
            piece = piece.get(read..).unwrap_or_default();
            hand_on(gzip.get_mut(), &mut take)?;
        }
        Ok(())
    }

    /// What is still held, and whether it is whole.
    pub(crate) fn finish(self, mut take: impl FnMut(&[u8]) -> Result<(), Exhausted>) -> Result<(), Failed> {
        let Some(mut gzip) = self.gzip else { return Ok(()) };
        if gzip.try_finish().is_err() {
            return Err(if gzip.get_ref().is_too_large { Failed::TooLarge } else { Failed::Gzip });
        }
        hand_on(gzip.get_mut(), &mut take)
    }
}

fn hand_on(text: &mut Text, take: &mut impl FnMut(&[u8]) -> Result<(), Exhausted>) -> Result<(), Failed> {
    let taken = take(&text.bytes);
    text.bytes.clear();
    Ok(taken?)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The text of a body that comes in pieces of `step` bytes, and the most that was held for one.
    fn read(bytes: &[u8], step: usize, bytes_max: usize) -> (Result<Vec<u8>, Failed>, usize) {
        let (mut text, mut most) = (Vec::new(), 0);
        let mut take = |piece: &[u8]| {
            most = most.max(piece.len());
            text.extend_from_slice(piece);
            Ok(())
        };
        let mut body = Body::new(true, bytes_max);
        let fed = bytes.chunks(step).try_for_each(|piece| body.feed(piece, &mut take));
        let finished = fed.and_then(|()| body.finish(&mut take));
        (finished.map(|()| text), most)
    }

    #[test]
    fn gzip_is_read_in_any_pieces_and_any_number_of_members() {
        let text = b"up 1\nmetrics{a=\"b\"} 2\n".repeat(1_000);
        let mut members = gzip(&text);
        members.extend(gzip(b"last 3\n"));
        let whole = [&text[..], b"last 3\n"].concat();
        for step in [1, 2, 7, 64, members.len()] {
            assert_eq!(read(&members, step, 1 << 20).0.as_deref(), Ok(&whole[..]), "{step} bytes at a time");
        }
    }

    #[test]
    fn a_bomb_is_refused_and_never_held() {
        let bomb = gzip(&vec![b'\n'; 64 << 20]);
        assert!(bomb.len() < 128 << 10);
        let (text, most) = read(&bomb, bomb.len(), 8 << 20);
        assert_eq!(text, Err(Failed::TooLarge));
        assert!(most <= 64 << 10, "{most}");
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_no_text() {
        let whole = gzip(&b"up 1\n".repeat(100));
        for end in 1..whole.len() {
            assert_eq!(read(&whole[..end], end, 1 << 20).0, Err(Failed::Gzip), "{end} bytes");
        }
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 5;
        damaged[checksum] ^= 1;
        assert_eq!(read(&damaged, 9, 1 << 20).0, Err(Failed::Gzip));
        assert_eq!(read(b"up 1\n", 5, 1 << 20).0, Err(Failed::Gzip));
    }
}
