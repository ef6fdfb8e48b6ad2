//! Bytes of a terminal as keys. Pure: knows no terminal, and no meaning of a key.
//!
//! Text that is pasted comes as such (bracketed paste): it must never count as commands.

/// No sequence of a key is longer; what is, is thrown away.
const SEQUENCE_BYTES_MAX: usize = 32;

const ESCAPE: u8 = 0x1b;
const INTERRUPT: u8 = 0x03;

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// A character of a text that is pasted.
    Pasted(char),
    /// With the letter in lower case.
    Control(char),
    Enter,
    Escape,
    Tab,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Reads keys from bytes that come cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The beginning of a key whose rest has not come.
    begun: Vec<u8>,
    is_pasting: bool,
}

/// What the first bytes are.
enum Step {
    /// The beginning of something.
    Partial,
    /// Nothing that means anything here.
    Nothing(usize),
    Key(usize, Key),
    Paste(usize, bool),
}

impl Keys {
    /// The keys that end with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.begun.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut used = 0;
        while used < self.begun.len() {
            match step(&self.begun[used..]) {
                Step::Partial => break,
                Step::Nothing(length) => used += length,
                Step::Paste(length, begins) => {
                    self.is_pasting = begins;
                    used += length;
                }
                Step::Key(length, key) => {
                    keys.extend(self.in_paste(key));
                    used += length;
                }
            }
        }
        self.begun.drain(..used);
        keys
    }

    /// Whether a key has begun: an escape key alone looks like the beginning of others.
    pub(super) fn is_waiting(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Nothing has followed in time: what has begun is all there is.
    pub(super) fn give_up(&mut self) -> Option<Key> {
        let was_escape = self.begun == [ESCAPE] && !self.is_pasting;
        self.begun.clear();
        was_escape.then_some(Key::Escape)
    }

    fn in_paste(&mut self, key: Key) -> Option<Key> {
        match key {
            _ if !self.is_pasting => Some(key),
            Key::Char(character) => Some(Key::Pasted(character)),
            // The end of the paste got lost, and the user wants to get out.
            Key::Control('c') => {
                self.is_pasting = false;
                Some(key)
            }
            _ => None,
        }
    }
}

fn step(bytes: &[u8]) -> Step {
    match *bytes {
        [] | [ESCAPE] => Step::Partial,
        [ESCAPE, b'[', ref rest @ ..] => sequence(rest),
        [ESCAPE, b'O'] => Step::Partial,
        [ESCAPE, b'O', last, ..] => named(last, b"").map_or(Step::Nothing(3), |key| Step::Key(3, key)),
        [ESCAPE, ESCAPE, ..] => Step::Key(1, Key::Escape),
        // A key together with Alt.
        [ESCAPE, _, ..] => Step::Nothing(2),
        [b'\r' | b'\n', ..] => Step::Key(1, Key::Enter),
        [b'\t', ..] => Step::Key(1, Key::Tab),
        [0x7f | 0x08, ..] => Step::Key(1, Key::Backspace),
        [byte @ INTERRUPT..=0x1a, ..] | [byte @ 0x01..=0x02, ..] => {
            Step::Key(1, Key::Control(char::from(byte - 1 + b'a')))
        }
        [byte, ..] if byte < 0x20 => Step::Nothing(1),
        _ => character(bytes),
    }
}

/// What follows `ESC [`: parameters and a letter that says what it is (ECMA-48, section 5.4).
fn sequence(rest: &[u8]) -> Step {
    if let [b'[', after @ ..] = rest {
        // A function key of Linux's console.
        return if after.is_empty() { Step::Partial } else { Step::Nothing(4) };
    }
    let is_last = |byte: &u8| (0x40..=0x7e).contains(byte);
    let Some(at) = rest.iter().position(is_last) else {
        return if rest.len() > SEQUENCE_BYTES_MAX { Step::Nothing(2 + rest.len()) } else { Step::Partial };
    };
    let length = 2 + at + 1;
    let parameters = &rest[..at];
    match (parameters, rest[at]) {
        (b"200", b'~') => Step::Paste(length, true),
        (b"201", b'~') => Step::Paste(length, false),
        (_, last) => {
            let first = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
            named(last, first).map_or(Step::Nothing(length), |key| Step::Key(length, key))
        }
    }
}

fn named(last: u8, parameter: &[u8]) -> Option<Key> {
    Some(match (last, parameter) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        // Back to the other list is the same as on to the other list.
        (b'Z', _) => Key::Tab,
        _ => return None,
    })
}

fn character(bytes: &[u8]) -> Step {
    let length = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let Some(bytes) = bytes.get(..length) else { return Step::Partial };
    match std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next()) {
        Some(character) => Step::Key(length, Key::Char(character)),
        None => Step::Nothing(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Key> {
        Keys::default().push(bytes)
    }

    #[test]
    fn keys_are_read_as_terminals_send_them() {
        for (bytes, key) in [
            ("q", Key::Char('q')),
            ("ü", Key::Char('ü')),
            ("🚰", Key::Char('🚰')),
            ("\r", Key::Enter),
            ("\t", Key::Tab),
            ("\x1b[Z", Key::Tab),
            ("\x7f", Key::Backspace),
            ("\x08", Key::Backspace),
            ("\x03", Key::Control('c')),
            ("\x1a", Key::Control('z')),
            ("\x0c", Key::Control('l')),
            ("\x1b[A", Key::Up),
            ("\x1bOB", Key::Down),
            ("\x1b[1;5B", Key::Down),
            ("\x1b[5~", Key::PageUp),
            ("\x1b[6~", Key::PageDown),
            ("\x1b[H", Key::Home),
            ("\x1b[4~", Key::End),
        ] {
            assert_eq!(read(bytes.as_bytes()), [key], "{bytes:?}");
        }
    }

    #[test]
    fn what_means_nothing_here_is_no_text() {
        for bytes in ["\x1b[[A", "\x1b[15~", "\x1bOP", "\x1bx", "\x1b[<35;10;10M", "\0", "\x1f"] {
            assert_eq!(read(format!("{bytes}q").as_bytes()), [Key::Char('q')], "{bytes:?}");
        }
        assert_eq!(read(b"\xff\xc3q\xe2\x82"), [Key::Char('q')]);
    }

    #[test]
    fn keys_cut_anywhere_are_the_same_keys() {
        let bytes = "a\x1b[A🚰\x1b[200~x\r\x1b[201~b\x1b[1;5Bü\x1bOH".as_bytes();
        let whole = read(bytes);
        let mut keys = Keys::default();
        let cut: Vec<Key> = bytes.iter().flat_map(|byte| keys.push(&[*byte])).collect();
        assert_eq!(cut, whole);
        assert_eq!(whole.len(), 8);
        assert!(!keys.is_waiting());
    }

    #[test]
    fn an_escape_key_alone_is_one_once_nothing_has_followed() {
        let mut keys = Keys::default();
        assert_eq!(keys.push(b"\x1b"), []);
        assert!(keys.is_waiting());
        assert_eq!(keys.give_up(), Some(Key::Escape));
        assert!(!keys.is_waiting());
        // The beginning of something else is not.
        assert_eq!(keys.push(b"\x1b["), []);
        assert_eq!(keys.give_up(), None);
        assert_eq!(keys.push(b"\x1b\x1b"), [Key::Escape]);
    }

    #[test]
    fn pasted_text_is_never_a_command() {
        let pasted = [Key::Pasted('x'), Key::Pasted('y'), Key::Char('z')];
        assert_eq!(read(b"\x1b[200~x\r\x1b[Ay\t\x1b[201~z"), pasted);
        // Whose end is lost does not shut the user out.
        assert_eq!(read(b"\x1b[200~\x03q"), [Key::Control('c'), Key::Char('q')]);
    }

    #[test]
    fn a_sequence_without_an_end_is_not_kept() {
        let mut keys = Keys::default();
        for _ in 0..1000 {
            keys.push(b"\x1b[");
            for _ in 0..20 {
                keys.push(b"11111111");
                assert!(keys.begun.len() <= 2 + SEQUENCE_BYTES_MAX, "{}", keys.begun.len());
            }
        }
    }
}
