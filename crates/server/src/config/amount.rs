//! The kinds of setting that are numbers, alone or with a word that may stand in their place.
//!
//! All of them go through [`Unit`], in whole base units, and are held against the setting's [`Bounds`] there,
//! so that all kinds treat limits alike.

use std::time::Duration;

use super::error::{Mistake, Refusal};
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::quantity::{MILLISECOND, Misread, ONE, Unit};

/// A kind that is a number and nothing else. Every one of them is a [`Kind`].
pub(super) trait Amount {
    type Value;
    const FORM: Form;
    const UNIT: Unit;
    /// Base units to what [`Config`](super::Config) holds.
    fn from_base(amount: u64) -> Self::Value;
    /// The way back.
    fn to_base(value: &Self::Value) -> u64;
}

/// Reads a number of `unit` and holds it against `bounds`.
fn read_amount(form: Form, unit: Unit, raw: &Raw, bounds: Option<&Bounds>) -> Result<u64, Refusal> {
    let refuse = |mistake, wrong: String| Refusal { mistake, wrong, advice: form.advice(bounds) };
    let too_small = || {
        let why = bounds.map_or("below zero", |bounds| bounds.below);
        refuse(Mistake::TooSmall, format!("too small, {why}"))
    };
    let too_large = || {
        let why = bounds.map_or("it does not fit 64 bits", |bounds| bounds.above);
        refuse(Mistake::TooLarge, format!("too large, {why}"))
    };
    let text = raw.scalar().ok_or_else(|| form.refuse(bounds))?;
    let amount = unit.read(text).map_err(|misread| match misread {
        Misread::Form => form.refuse(bounds),
        Misread::TooFine => refuse(Mistake::Malformed, unit.too_fine().to_owned()),
        Misread::Negative => too_small(),
        Misread::TooLarge => too_large(),
    })?;
    match bounds {
        Some(bounds) if amount < bounds.min => Err(too_small()),
        Some(bounds) if amount > bounds.max => Err(too_large()),
        _ => Ok(amount),
    }
}

fn show_amount(unit: Unit, amount: u64) -> Plain {
    let text = unit.show(amount);
    match unit {
        Unit::Fraction => text.parse().map_or(Plain::Text(text), Plain::Fraction),
        _ => text.parse().map_or(Plain::Text(text), Plain::Whole),
    }
}

impl<A: Amount> Kind for A {
    type Value = A::Value;
    const FORM: Form = A::FORM;

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<A::Value, Refusal> {
        read_amount(A::FORM, A::UNIT, raw, bounds).map(A::from_base)
    }

    fn plain(value: &A::Value) -> Plain {
        show_amount(A::UNIT, A::to_base(value))
    }

    fn amount(value: &A::Value) -> Option<u64> {
        Some(A::to_base(value))
    }
}

/// A number of things.
pub(super) enum Count {}

impl Amount for Count {
    type Value = usize;
    const FORM: Form = Form {
        value_name: "N",
        noun: "a whole number",
        advice: "a whole number",
        unit: Some(Unit::Count),
        words: "",
    };
    const UNIT: Unit = Unit::Count;

    fn from_base(amount: u64) -> usize {
        usize::try_from(amount).unwrap_or(usize::MAX)
    }

    fn to_base(value: &usize) -> u64 {
        u64::try_from(*value).unwrap_or(u64::MAX)
    }
}

/// A number of bytes.
pub(super) enum Size {}

impl Amount for Size {
    type Value = usize;
    const FORM: Form = Form {
        value_name: "SIZE",
        noun: "a size",
        advice: "bytes (262144) or a number with a unit (\"256 KiB\", \"8MiB\", \"1GB\")",
        unit: Some(Unit::Bytes),
        words: "",
    };
    const UNIT: Unit = Unit::Bytes;

    fn from_base(amount: u64) -> usize {
        usize::try_from(amount).unwrap_or(usize::MAX)
    }

    fn to_base(value: &usize) -> u64 {
        u64::try_from(*value).unwrap_or(u64::MAX)
    }
}

/// Memory in MiB, without a unit, as the `*_mb` keys have it.
pub(super) enum Mebibytes {}

impl Amount for Mebibytes {
    type Value = u64;
    const FORM: Form = Form {
        value_name: "MIB",
        noun: "a whole number of MiB",
        advice: "a whole number of MiB without a unit",
        unit: Some(Unit::Mebibytes),
        words: "",
    };
    const UNIT: Unit = Unit::Mebibytes;

    fn from_base(amount: u64) -> u64 {
        amount
    }

    fn to_base(value: &u64) -> u64 {
        *value
    }
}

/// A length of time.
pub(super) enum Time {}

impl Amount for Time {
    type Value = Duration;
    const FORM: Form = Form {
        value_name: "TIME",
        noun: "a length of time",
        advice: "seconds (300, 0.5) or a number with a unit (\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\")",
        unit: Some(Unit::Time),
        words: "",
    };
    const UNIT: Unit = Unit::Time;

    fn from_base(amount: u64) -> Duration {
        Duration::from_millis(amount * MILLISECOND)
    }

    fn to_base(value: &Duration) -> u64 {
        u64::try_from(value.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A share of one.
pub(super) enum Fraction {}

impl Amount for Fraction {
    type Value = f64;
    const FORM: Form = Form {
        value_name: "FRACTION",
        noun: "a fraction",
        advice: "a number such as 0.2",
        unit: Some(Unit::Fraction),
        words: "",
    };
    const UNIT: Unit = Unit::Fraction;

    #[expect(clippy::cast_precision_loss, reason = "bounds keep it below 2^53")]
    fn from_base(amount: u64) -> f64 {
        amount as f64 / ONE as f64
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float out of range saturates, which the bounds then refuse"
    )]
    fn to_base(value: &f64) -> u64 {
        (value * ONE as f64).round() as u64
    }
}

/// A word that may stand in place of a number.
pub(super) trait Word {
    /// What [`Config`](super::Config) holds: the word or the number.
    type Value<T>;
    /// The word itself.
    const WORD: &'static str;
    /// The words as [`Form::words`] has them.
    const WORDS: &'static str;
    /// Whether `0` means the word as well.
    const ZERO: bool = false;

    fn word<T>() -> Self::Value<T>;
    fn given<T>(value: T) -> Self::Value<T>;
    fn get<T>(value: &Self::Value<T>) -> Option<&T>;
}

/// Either the amount `A` or the word `W`.
pub(super) struct Or<A, W>(std::marker::PhantomData<(A, W)>);

impl<A: Amount, W: Word> Kind for Or<A, W> {
    type Value = W::Value<A::Value>;
    const FORM: Form = Form { words: W::WORDS, ..A::FORM };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Self::Value, Refusal> {
        let text = raw.scalar().unwrap_or_default().trim();
        if text.eq_ignore_ascii_case(W::WORD) || (W::ZERO && A::UNIT.read(text) == Ok(0)) {
            return Ok(W::word());
        }
        read_amount(Self::FORM, A::UNIT, raw, bounds).map(|amount| W::given(A::from_base(amount)))
    }

    fn plain(value: &Self::Value) -> Plain {
        match W::get(value) {
            Some(value) => A::plain(value),
            None if W::ZERO => Plain::Whole(0),
            None => Plain::Text(W::WORD.to_owned()),
        }
    }

    fn amount(value: &Self::Value) -> Option<u64> {
        W::get(value).map(A::to_base)
    }
}
