//! The line being read: first its field's name, then what becomes of its value. Owns no memory.

/// The longest names with a meaning are `event` and `retry`.
const NAME_BYTES_MAX: usize = 5;

/// How far the line was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line {
    /// No colon so far, and the name may still be one with a meaning.
    Name(Name),
    /// Beyond the name.
    Value {
        /// What the value is for.
        field: Field,
        /// Nothing of the value was read: a space now would not be part of it.
        at_start: bool,
    },
}

/// The first bytes of a line, as many as a name with a meaning can have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

/// What the value of a line is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Comment,
    Data,
    EventType,
    EventId,
    Retry(Digits),
    /// A field without a meaning: nothing of it is kept.
    Ignored,
}

/// A number as it is read, saturating.
#[derive(Debug, Clone, Copy)]
pub(super) enum Digits {
    None,
    Number(u64),
    /// Something other than an ASCII digit stood there.
    NotANumber,
}

impl Default for Line {
    fn default() -> Line {
        Line::Name(Name::default())
    }
}

impl Name {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes bytes of the name off `rest`, and the colon after it. Gives the field once it is known.
    pub(super) fn read(&mut self, rest: &mut &[u8]) -> Option<Field> {
        while let Some((first, after)) = rest.split_first() {
            *rest = after;
            if *first == b':' {
                return Some(if self.is_empty() { Field::Comment } else { self.field() });
            }
            if self.len == NAME_BYTES_MAX {
                return Some(Field::Ignored);
            }
            self.bytes[self.len] = *first;
            self.len += 1;
        }
        None
    }

    /// The field of this name, taken as complete.
    pub(super) fn field(&self) -> Field {
        match &self.bytes[..self.len] {
            b"data" => Field::Data,
            b"event" => Field::EventType,
            b"id" => Field::EventId,
            b"retry" => Field::Retry(Digits::None),
            _ => Field::Ignored,
        }
    }
}

impl Digits {
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            *self = match (*self, byte) {
                (Digits::None, b'0'..=b'9') => Digits::Number(u64::from(byte - b'0')),
                (Digits::Number(number), b'0'..=b'9') => {
                    Digits::Number(number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
                }
                _ => Digits::NotANumber,
            };
        }
    }

    pub(super) fn number(self) -> Option<u64> {
        match self {
            Digits::Number(number) => Some(number),
            Digits::None | Digits::NotANumber => None,
        }
    }
}
