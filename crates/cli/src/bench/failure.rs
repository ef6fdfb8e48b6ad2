//! Why a measurement could not be made. A figure that misses its target is no failure.

use std::fmt;
use std::io;

/// Why a scenario ended without its figures.
#[derive(Debug)]
pub(super) enum Failure {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The options cannot work together or on this machine.
    Usage(String),
    /// Something did not work; reads after "bench: ".
    Broken(String),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Usage(text) | Self::Broken(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A failure from a text.
pub(super) fn broken<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Failure::Broken(text.into()))
}

/// Says what was being done when something failed.
pub(super) trait While<T> {
    /// `doing` reads after "while".
    fn during(self, doing: &str) -> Outcome<T>;
}

impl<T, E: fmt::Display> While<T> for Result<T, E> {
    fn during(self, doing: &str) -> Outcome<T> {
        self.map_err(|error| Failure::Broken(format!("while {doing}: {error}")))
    }
}
