//! Who is asked whose a deployment or a service is.

use super::choice::{Choice, form};
use super::kind::Form;

/// Who is asked whose a deployment or a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectoryKind {
    /// The tables of the configuration file.
    Config,
    /// A hash in Redis.
    Redis,
    /// The application, by a webhook.
    Webhook,
}

impl Choice for DirectoryKind {
    const WRITTEN: Form = form("config|redis|webhook", "a directory", "\"config\", \"redis\" or \"webhook\"");
    const ALL: &'static [(&'static str, DirectoryKind)] = &[
        ("config", DirectoryKind::Config),
        ("redis", DirectoryKind::Redis),
        ("webhook", DirectoryKind::Webhook),
    ];
}
