//! What is wrong with a configuration: every problem found, each with where it stands, what was
//! written there and what would do instead.
//!
//! Texts are fragments without a final stop. Nothing here decides whether something is wrong.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How many problems are printed; a file that is no configuration at all could hold thousands.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// How many characters of a value are repeated in a message.
const VALUE_CHARS_SHOWN_MAX: usize = 80;

/// How many characters of a path are repeated: all that Linux takes, so that it can be clicked on.
const PATH_CHARS_SHOWN_MAX: usize = 4096;

/// Where the value of a setting comes from, in rising order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Origin {
    /// No source sets it.
    Default,
    /// The TOML file.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name, `WATERTIGHT_...`.
        variable: String,
    },
    /// A command line flag.
    Flag {
        /// The flag with its dashes.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("built-in default"),
            Origin::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", capped(&path.to_string_lossy(), PATH_CHARS_SHOWN_MAX))
            }
            Origin::Environment { variable } => f.write_str(&printable(variable)),
            Origin::Flag { flag } => f.write_str(flag),
        }
    }
}

/// What sort of mistake a [`Problem`] is. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Mistake {
    /// The file cannot be read.
    Unreadable,
    /// The file is not TOML.
    Syntax,
    /// No setting has this name.
    UnknownKey,
    /// A name or a value is not UTF-8.
    NotUtf8,
    /// The value is not of the setting's form.
    Malformed,
    /// The value is below the setting's least.
    TooSmall,
    /// The value is above the setting's most.
    TooLarge,
    /// Two settings contradict each other.
    Conflict,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What sort of mistake it is.
    pub mistake: Mistake,
    /// The key, as it was written where it is unknown; none if the file as a whole is meant.
    pub key: Option<String>,
    /// What was written, shortened, without control characters. Left out where it may be a secret, and for
    /// unknown names.
    pub value: Option<String>,
    /// What is wrong with it.
    pub wrong: String,
    /// What would do.
    pub advice: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{} = {value}: ", printable(key))?,
            (Some(key), None) => write!(f, "{}: ", printable(key))?,
            (None, _) => {}
        }
        f.write_str(&self.wrong)?;
        match &self.advice {
            Some(advice) => write!(f, "\n    {advice}"),
            None => Ok(()),
        }
    }
}

/// A configuration that is refused, whole. `Display` is several lines, ready for standard error.
///
/// Trying again does not help; the program ends with [`ConfigError::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{}", self.text())]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// What a program that is configured wrongly exits with (`EX_USAGE` of `sysexits.h`).
    pub const EXIT_CODE: u8 = 64;

    /// `problems` is not empty.
    pub(super) fn new(problems: Vec<Problem>) -> ConfigError {
        debug_assert!(!problems.is_empty(), "a refusal has a reason");
        ConfigError { problems }
    }

    /// Everything that is wrong: first the file from top to bottom, then the environment, then the
    /// flags, then what does not go together.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn text(&self) -> String {
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut text = format!("the configuration is refused, {count} problem{plural}:");
        for problem in self.problems.iter().take(PROBLEMS_SHOWN_MAX) {
            text.push('\n');
            text.push_str(&problem.to_string());
        }
        if count > PROBLEMS_SHOWN_MAX {
            text.push_str(&format!("\n... and {} more", count - PROBLEMS_SHOWN_MAX));
        }
        text
    }
}

/// Why a value is refused, before its source is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) mistake: Mistake,
    pub(super) wrong: String,
    pub(super) advice: String,
}

impl Refusal {
    /// A value that is not of the form it should have.
    pub(super) fn malformed(wrong: impl Into<String>, advice: impl Into<String>) -> Refusal {
        Refusal { mistake: Mistake::Malformed, wrong: wrong.into(), advice: advice.into() }
    }
}

/// `text` on one line, control characters escaped and shortened: what a stranger wrote must not
/// forge a line of a log or move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    capped(text, VALUE_CHARS_SHOWN_MAX)
}

fn capped(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max));
    for (at, c) in text.chars().enumerate() {
        if at == chars_max {
            shown.push_str("...");
            break;
        }
        match c {
            // Direction marks reorder what is printed after them, though they are no control characters.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(c.escape_unicode());
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}
