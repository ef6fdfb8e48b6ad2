//! The kinds of setting that are written as words: those that stand in place of a number, and
//! switches, paths, formats.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Serialize;

use super::amount::Word;
use super::choice::{Choice, form};
use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};

/// A number that is given, or found out by the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Auto<T> {
    /// The hub finds out what fits.
    Auto,
    /// This many.
    Given(T),
}

impl<T> Auto<T> {
    /// The given number, or what `find_out` says.
    pub fn unwrap_or_else(self, find_out: impl FnOnce() -> T) -> T {
        match self {
            Auto::Auto => find_out(),
            Auto::Given(value) => value,
        }
    }
}

/// `auto`: the hub finds out.
pub(super) enum AutoWord {}

impl Word for AutoWord {
    type Value<T> = Auto<T>;
    const WORD: &'static str = "auto";
    const WORDS: &'static str = "\"auto\"";

    fn word<T>() -> Auto<T> {
        Auto::Auto
    }

    fn given<T>(value: T) -> Auto<T> {
        Auto::Given(value)
    }

    fn get<T>(value: &Auto<T>) -> Option<&T> {
        match value {
            Auto::Auto => None,
            Auto::Given(value) => Some(value),
        }
    }
}

/// Words that mean "there is none": the value is an `Option`.
macro_rules! words_for_none {
    ($( $(#[$about:meta])* $name:ident = $word:literal, $words:literal, zero: $zero:literal; )+) => { $(
        $(#[$about])*
        pub(super) enum $name {}

        impl Word for $name {
            type Value<T> = Option<T>;
            const WORD: &'static str = $word;
            const WORDS: &'static str = $words;
            const ZERO: bool = $zero;

            fn word<T>() -> Option<T> {
                None
            }

            fn given<T>(value: T) -> Option<T> {
                Some(value)
            }

            fn get<T>(value: &Option<T>) -> Option<&T> {
                value.as_ref()
            }
        }
    )+ };
}

words_for_none! {
    /// `none`: no limit.
    NoneWord = "none", "\"none\"", zero: false;
    /// `0` or `none`: no limit.
    ZeroWord = "none", "0 or \"none\" for no limit", zero: true;
    /// `system`: whatever the operating system does by itself.
    SystemWord = "system", "\"system\"", zero: false;
}

/// On or off.
pub(super) enum Switch {}

impl Kind for Switch {
    type Value = bool;
    const FORM: Form =
        Form { value_name: "BOOL", noun: "true or false", advice: "true or false", unit: None, words: "" };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<bool, Refusal> {
        if let Raw::Switch(on) = raw {
            return Ok(*on);
        }
        let text = raw.scalar().unwrap_or_default().trim().to_ascii_lowercase();
        match text.as_str() {
            "true" | "1" | "on" | "yes" => Ok(true),
            "false" | "0" | "off" | "no" => Ok(false),
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &bool) -> Plain {
        Plain::Switch(*value)
    }
}

/// The path of a file, or none.
pub(super) enum File {}

impl Kind for File {
    type Value = Option<PathBuf>;
    const FORM: Form =
        Form { value_name: "FILE", noun: "a path", advice: "a path", unit: None, words: "\"none\"" };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Option<PathBuf>, Refusal> {
        match raw {
            Raw::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
            // The kernel refuses a path with NUL much later and says less.
            Raw::Text(text) if !text.is_empty() && !text.contains('\0') => Ok(Some(PathBuf::from(text))),
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &Option<PathBuf>) -> Plain {
        Plain::Text(match value {
            Some(path) => path.to_string_lossy().into_owned(),
            None => "none".to_owned(),
        })
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Choice for LogFormat {
    const WRITTEN: Form = form("text|json", "a log format", "\"text\" or \"json\"");
    const ALL: &'static [(&'static str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// What is logged: `LEVEL`, `TARGET=LEVEL`, several of them with commas.
pub(super) enum LogFilter {}

impl LogFilter {
    const LEVELS: [&'static str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// A bare word is taken as a target by the logger, so that `inof` would silence the rest.
    fn understands(directive: &str) -> bool {
        let level = |text: &str| Self::LEVELS.iter().any(|known| known.eq_ignore_ascii_case(text));
        match directive.rsplit_once('=') {
            Some((target, last)) => !target.is_empty() && level(last.trim()),
            None => level(directive),
        }
    }
}

impl Kind for LogFilter {
    type Value = Cow<'static, str>;
    const FORM: Form = Form {
        value_name: "LEVEL",
        noun: "a log filter",
        advice: "off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Cow<'static, str>, Refusal> {
        let text = raw.scalar().unwrap_or_default().trim();
        // Filters by span and field (`[...]`) may hold commas: they are left to the logger.
        let understood = text.contains('[') || text.split(',').all(|part| Self::understands(part.trim()));
        if understood && !text.contains(char::is_control) {
            Ok(Cow::Owned(text.to_owned()))
        } else {
            Err(Self::FORM.refuse(bounds))
        }
    }

    fn plain(value: &Cow<'static, str>) -> Plain {
        Plain::Text(value.clone().into_owned())
    }
}
