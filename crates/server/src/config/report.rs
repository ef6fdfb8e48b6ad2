//! What a loaded configuration says, key by key, and where each value came from: for `check`, and
//! for the log at start.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Loaded;
use super::declared::{Deployment, Service, Table};
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
        SETTINGS.iter().zip(&self.origins.settings).map(|(setting, origin)| Entry {
            key: setting.key,
            value: (setting.plain)(&self.config),
            default: (setting.plain)(&Config::DEFAULT),
            origin: origin.clone(),
        })
    }

    /// Every setting with its value and where it comes from, a line each, ending in a line break; then the tables.
    /// It is TOML: as a file, it gives the same configuration.
    pub fn report(&self) -> String {
        let entries: Vec<Entry> = self.entries().collect();
        let key_width = entries.iter().map(|entry| entry.key.len()).max().unwrap_or(0);
        // One long list must not push all origins out of sight.
        let width = |entry: &Entry| entry.value.toml().chars().count();
        let value_width = entries.iter().map(width).filter(|width| *width <= 40).max().unwrap_or(0);
        let mut text = entries.iter().fold(String::new(), |mut text, entry| {
            let value = entry.value.toml();
            let _ = writeln!(text, "{:key_width$} = {value:value_width$}  # {}", entry.key, entry.origin);
            text
        });
        for table in self.tables() {
            let _ = writeln!(text, "\n[{}.{}]  # {}", table.table, toml_key(&table.id), table.origin);
            for (key, value) in &table.values {
                let _ = writeln!(text, "{key} = {}", value.toml());
            }
        }
        text
    }

    /// Every table that the file declares, by name and id.
    pub fn tables(&self) -> Vec<TableEntry> {
        let mut declared = self.config.declared.clone();
        let mut tables = self.tables_of::<Deployment>(&mut declared);
        tables.extend(self.tables_of::<Service>(&mut declared));
        tables
    }

    fn tables_of<T: Table>(&self, declared: &mut super::Declared) -> Vec<TableEntry> {
        let origin = |id| self.origins.tables.get(&(T::NAME, id)).cloned().unwrap_or(Origin::Default);
        let values =
            |it: &T| T::FIELDS.iter().filter_map(|field| Some((field.key, (field.plain)(it)?))).collect();
        let all = std::mem::take(T::all(declared)).into_iter();
        all.map(|(id, it)| TableEntry {
            table: T::NAME,
            id: id.as_str().to_owned(),
            values: values(&it),
            origin: origin(id),
        })
        .collect()
    }
}

/// A table that the file declares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableEntry {
    /// `deployments` or `services`.
    pub table: &'static str,
    /// Which it is.
    pub id: String,
    /// Its keys that are set.
    pub values: BTreeMap<&'static str, Plain>,
    /// Where it stands.
    pub origin: Origin,
}

/// A key as TOML has it: bare, or in quotes.
fn toml_key(id: &str) -> String {
    let is_bare = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { id.to_owned() } else { format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// `{"settings":[{"key","value","default","origin":{"kind",...}},...],"tables":[{"table","id","values","origin"},...]}`:
/// the same report as JSON.
impl Serialize for Loaded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Loaded", 2)?;
        report.serialize_field("settings", &self.entries().collect::<Vec<_>>())?;
        report.serialize_field("tables", &self.tables())?;
        report.end()
    }
}
