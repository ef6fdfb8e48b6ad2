//! Making lines fit what the hub takes as one event. Pure.

/// The hub's `max_event_bytes` where nobody has set it.
pub(super) const EVENT_BYTES_DEFAULT: usize = 256 * 1024;

/// The least that a hub's `max_event_bytes` can be; the mark of a line that was cut fits it.
pub(super) const EVENT_BYTES_MIN: usize = 64;

/// What becomes of a line that is too long for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Overlong {
    /// Nothing: it is refused.
    #[default]
    Refuse,
    /// Its beginning is kept, with a mark behind it.
    Cut,
    /// It becomes several events.
    Split,
}

/// How much goes into one event, and what becomes of longer lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) bytes_max: usize,
    pub(super) overlong: Overlong,
}

impl Fit {
    /// The next event of a line, and what is left of the line for further ones. `dropped`: how many bytes of the line
    /// are gone already.
    pub(super) fn next<'t>(self, text: &'t str, dropped: u64) -> (std::borrow::Cow<'t, str>, &'t str) {
        if self.overlong == Overlong::Refuse || (dropped == 0 && text.len() <= self.bytes_max) {
            return (text.into(), "");
        }
        if self.overlong == Overlong::Split {
            let (event, rest) = text.split_at(text.floor_char_boundary(self.bytes_max));
            return (event.into(), rest);
        }
        let mark = format!("… [cut: {} bytes]", text.len() as u64 + dropped);
        let kept = text.floor_char_boundary(self.bytes_max.saturating_sub(mark.len()));
        (format!("{}{mark}", &text[..kept]).into(), "")
    }

    /// The hub takes less than was thought. `false`: it cannot be made to fit.
    pub(super) fn lower(&mut self) -> bool {
        let can = self.overlong != Overlong::Refuse && self.bytes_max > EVENT_BYTES_MIN;
        if can {
            self.bytes_max = (self.bytes_max / 2).max(EVENT_BYTES_MIN);
        }
        can
    }
}

/// Where bytes can be cut so that no character of UTF-8 that was cut off in the middle is left at their end.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    let end = bytes.len();
    // A character has up to four bytes: one that is not complete begins in the last three.
    for back in 1..=end.min(3) {
        let needed = match bytes[end - back] {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if needed > back && back < end { end - back } else { end };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(bytes_max: usize, overlong: Overlong) -> Fit {
        Fit { bytes_max, overlong }
    }

    #[test]
    fn what_fits_goes_out_as_it_is() {
        for overlong in [Overlong::Refuse, Overlong::Cut, Overlong::Split] {
            let line = "x".repeat(100);
            assert_eq!(fit(100, overlong).next(&line, 0), (line.as_str().into(), ""));
            assert_eq!(fit(100, overlong).next("", 0), ("".into(), ""));
        }
    }

    #[test]
    fn a_cut_line_fits_and_tells_its_length() {
        let line = "ü".repeat(100);
        for bytes_max in EVENT_BYTES_MIN..200 {
            let (event, rest) = fit(bytes_max, Overlong::Cut).next(&line, 0);
            assert!(event.len() <= bytes_max && rest.is_empty(), "{bytes_max}: {event}");
            assert!(event.starts_with("üü") && event.ends_with("ü… [cut: 200 bytes]"), "{event}");
        }
        let (event, _) = fit(100, Overlong::Cut).next("short", 1_000_000);
        assert_eq!(event, "short… [cut: 1000005 bytes]", "of which most was never kept");
    }

    #[test]
    fn the_pieces_of_a_line_fit_and_are_the_line() {
        let line = "aü€😀".repeat(50);
        for bytes_max in EVENT_BYTES_MIN..100 {
            let (mut rest, mut pieces) = (line.as_str(), Vec::new());
            loop {
                let (event, left) = fit(bytes_max, Overlong::Split).next(rest, 0);
                assert!(event.len() <= bytes_max && !event.is_empty());
                pieces.push(event.into_owned());
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
            assert_eq!(pieces.concat(), line);
        }
    }

    #[test]
    fn lowering_ends_at_the_least_that_a_hub_takes() {
        let mut fit = fit(1000, Overlong::Cut);
        let mut steps = 0;
        while fit.lower() {
            steps += 1;
        }
        assert_eq!((fit.bytes_max, steps), (EVENT_BYTES_MIN, 4));
        assert!(!Fit { overlong: Overlong::Refuse, ..fit }.lower());
    }

    #[test]
    fn a_character_is_never_left_half() {
        let text = "aü€😀";
        for end in 0..=text.len() {
            let whole = whole_characters(&text.as_bytes()[..end]);
            let expected = text.floor_char_boundary(end);
            // Nothing before it: it stays, and is replaced as anything is that is not UTF-8.
            assert_eq!(whole, expected, "{end}");
        }
        assert_eq!(whole_characters(b"\xff\xff\xff\xff"), 4, "what is not UTF-8 is not cut for it");
        assert_eq!(whole_characters(b"a\x80\x80\x80\x80"), 5);
    }
}
