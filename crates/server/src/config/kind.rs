//! The kinds a setting can be of: for each, the Rust type in [`Config`](super::Config), the form it
//! is written in, how it is read and how it is shown.
//!
//! A kind knows no key and no source. The numeric ones stand in [`super::amount`], the others in
//! [`super::words`] and [`super::cross_origin`].

use serde::Serialize;

use super::error::Refusal;
use super::quantity::Unit;

/// A value as it was found in some source, before its kind is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// A TOML string, or the text of a variable or flag.
    Text(String),
    /// A TOML integer or float, in decimal.
    Number(String),
    /// A TOML boolean.
    Switch(bool),
    /// A TOML array, or a flag given several times.
    List(Vec<Raw>),
    /// A TOML value that no setting takes.
    Other,
}

impl Raw {
    /// The text, if it is one piece.
    pub(super) fn scalar(&self) -> Option<&str> {
        match self {
            Raw::Text(text) | Raw::Number(text) => Some(text),
            Raw::Switch(_) | Raw::List(_) | Raw::Other => None,
        }
    }
}

/// A value to be shown: as TOML, as JSON or as plain text. Each form reads back as the same value,
/// unless a secret was left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Plain {
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Whole(u64),
    /// A fraction.
    Fraction(f64),
    /// Anything with a unit, a word, an address, a path.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Plain {
    /// The value as a TOML literal.
    pub fn toml(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        match self {
            Plain::Text(text) => quoted(text),
            Plain::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Plain::Switch(_) | Plain::Whole(_) | Plain::Fraction(_) => self.text(),
        }
    }

    /// The value as a variable or a flag would have it.
    pub fn text(&self) -> String {
        match self {
            Plain::Switch(on) => on.to_string(),
            Plain::Whole(number) => number.to_string(),
            Plain::Fraction(number) => number.to_string(),
            Plain::Text(text) => text.clone(),
            Plain::List(items) => items.join(","),
        }
    }
}

/// The least and the most a setting may be, in base units of its kind, each with its reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) min: u64,
    /// What is wrong with less.
    pub(super) below: &'static str,
    pub(super) max: u64,
    /// What is wrong with more.
    pub(super) above: &'static str,
}

impl Bounds {
    pub(super) const fn new(min: u64, below: &'static str, max: u64, above: &'static str) -> Bounds {
        assert!(min <= max, "bounds that nothing satisfies");
        Bounds { min, below, max, above }
    }
}

/// How a kind of setting is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Stands for the value in the help, `--key <NAME>`.
    pub(super) value_name: &'static str,
    /// What it is, after "not".
    pub(super) noun: &'static str,
    /// What to write, after "use".
    pub(super) advice: &'static str,
    /// The unit of what is numeric.
    pub(super) unit: Option<Unit>,
    /// Words that stand for no number at all, each quoted in backticks, or nothing.
    pub(super) words: &'static str,
}

impl Form {
    /// What would do, in full: the form, the range, the words.
    pub(super) fn advice(&self, bounds: Option<&Bounds>) -> String {
        let mut text = format!("use {}", self.advice);
        if let (Some(unit), Some(bounds)) = (self.unit, bounds) {
            let [min, max] = unit.range(bounds.min, bounds.max);
            text.push_str(&format!(", from {min} to {max}"));
        }
        if !self.words.is_empty() {
            text.push_str(&format!(", or {}", self.words));
        }
        text
    }

    pub(super) fn refuse(&self, bounds: Option<&Bounds>) -> Refusal {
        Refusal::malformed(format!("not {}", self.noun), self.advice(bounds))
    }
}

/// A kind of setting.
pub(super) trait Kind {
    /// What [`Config`](super::Config) holds.
    type Value;
    /// How it is written.
    const FORM: Form;
    /// Whether what is written may hold a secret: then no message repeats it, and [`Kind::plain`] leaves it out.
    const IS_CONFIDENTIAL: bool = false;

    /// Reads and checks a value.
    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Self::Value, Refusal>;
    /// Shows a value so that it reads back, but for its secrets.
    fn plain(value: &Self::Value) -> Plain;
    /// The value in base units, if it is numeric and not one of the words.
    fn amount(_value: &Self::Value) -> Option<u64> {
        None
    }
}
