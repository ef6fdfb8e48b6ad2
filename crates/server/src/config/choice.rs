//! Settings that are one of a few words.

use std::marker::PhantomData;

use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};

/// A value that is one of a few words; case does not matter.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// The form it is written in.
    const WRITTEN: Form;
    /// All values, with their words.
    const ALL: &'static [(&'static str, Self)];

    /// The word for it.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map(|(word, _)| *word).unwrap_or_default()
    }
}

/// The kind of a choice.
pub(super) struct OneOf<T>(PhantomData<T>);

impl<T: Choice> Kind for OneOf<T> {
    type Value = T;
    const FORM: Form = T::WRITTEN;

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<T, Refusal> {
        let text = raw.scalar().unwrap_or_default().trim();
        let found = T::ALL.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| T::WRITTEN.refuse(bounds))
    }

    fn plain(value: &T) -> Plain {
        Plain::Text(value.word().to_owned())
    }
}

/// The form of a choice: what it is, and the words as the help and the advice have them.
pub(super) const fn form(value_name: &'static str, noun: &'static str, advice: &'static str) -> Form {
    Form { value_name, noun, advice, unit: None, words: "" }
}
