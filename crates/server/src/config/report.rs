//! What a loaded configuration says, key by key, and where each value came from: for `check`, and
//! for the log at start.

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Loaded;
use super::error::Origin;
use super::kind::Plain;
use super::limits::{Config, SETTINGS};

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: Plain,
    /// What it is if nobody says anything.
    pub default: Plain,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Loaded {
    /// Every setting in the order of the reference.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        SETTINGS.iter().zip(&self.origins.0).map(|(setting, origin)| Entry {
            key: setting.key,
            value: (setting.plain)(&self.config),
            default: (setting.plain)(&Config::DEFAULT),
            origin: origin.clone(),
        })
    }

    /// Every setting with its value and where it comes from, a line each, ending in a line break.
    /// It is TOML: as a file, it gives the same configuration.
    pub fn report(&self) -> String {
        let entries: Vec<Entry> = self.entries().collect();
        let key_width = entries.iter().map(|entry| entry.key.len()).max().unwrap_or(0);
        // One long list must not push all origins out of sight.
        let width = |entry: &Entry| entry.value.toml().chars().count();
        let value_width = entries.iter().map(width).filter(|width| *width <= 40).max().unwrap_or(0);
        entries.iter().fold(String::new(), |mut text, entry| {
            let value = entry.value.toml();
            let _ = writeln!(text, "{:key_width$} = {value:value_width$}  # {}", entry.key, entry.origin);
            text
        })
    }
}

/// `{"settings":[{"key","value","default","origin":{"kind",...}},...]}`: the same report as JSON.
impl Serialize for Loaded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Loaded", 1)?;
        report.serialize_field("settings", &self.entries().collect::<Vec<_>>())?;
        report.end()
    }
}
