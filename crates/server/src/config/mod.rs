//! The configuration of the hub: one table of settings, and what is made from it.
//!
//! [`load()`] puts a [`Config`] together from built-in defaults, a TOML file, the environment and
//! flags, each above the one before. It is taken whole or refused whole: a [`ConfigError`] names
//! everything that is wrong, where, and what would do.
//!
//! Knows nothing of the hub: no socket, no clock, no session. Whoever uses a value finds out
//! whether the machine grants it.
//!
//! # Layout
//!
//! - `limits`: **the table**; the only place with numbers of the hub
//! - `defaults`: how the defaults relate; `relations`: what settings owe each other
//! - `setting`: what a row becomes; `kind`: how a value is written and read, in `amount`,
//!   `words`, `choice`, `access`, `cross_origin`, `hosts`, `header_names`, `directory`, `secret` and `server_url`; `list`: lists;
//!   `quantity`: numbers with units
//! - `declared`: the tables of deployments and services; `tables`: how they are read
//! - `load`: the sources in order; `file`, `args`: two of them; `service_links`: variables that are none;
//!   `draft`: what they are gathered in
//! - `error`, `suggest`: what is wrong, and what was meant
//! - `report`: what `check` prints; `reference`: `docs/configuration.md`

mod access;
mod amount;
mod args;
mod choice;
mod cross_origin;
mod declared;
mod defaults;
mod directory;
mod draft;
mod error;
mod file;
mod header_names;
mod hosts;
mod kind;
mod limits;
mod list;
mod listen;
mod load;
mod logs;
mod quantity;
mod reference;
mod relations;
mod report;
mod secret;
mod server_url;
mod service_links;
mod setting;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;
mod words;

pub use access::AccessFail;
pub use args::ConfigArgs;
pub use cross_origin::AllowedOrigins;
pub(crate) use cross_origin::host_and_port;
pub use declared::{Declared, Deployment, Service};
pub use directory::DirectoryKind;
pub use error::{ConfigError, Mistake, Origin, Problem};
pub use hosts::AllowedHosts;
pub use kind::Plain;
pub use limits::Config;
pub use listen::ListenAddress;
pub use load::load;
pub(crate) use logs::ID_IN_CHANNEL;
pub use logs::LogsSource;
pub use reference::reference_markdown;
pub use report::{Entry, TableEntry};
pub use secret::{Secret, SecretFileError};
pub use server_url::ServerUrl;
pub(crate) use suggest::nearest;
pub use words::{Auto, LogFormat};

use std::path::PathBuf;

use tables::TableOrigins;

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// Who said so.
    pub origins: Origins,
    /// The file that was read, if one was named.
    pub file: Option<PathBuf>,
}

/// Where each value of a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// One for each row of the table of settings.
    settings: Vec<Origin>,
    tables: TableOrigins,
}

impl Origins {
    /// Where the value of `key` came from; `None` if there is no such key.
    pub fn of(&self, key: &str) -> Option<&Origin> {
        self.settings.get(setting::row_of(key)?)
    }
}
