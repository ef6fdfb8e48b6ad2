//! Who is asked whose a deployment or a service is.

use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};

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

impl DirectoryKind {
    const ALL: [DirectoryKind; 3] = [DirectoryKind::Config, DirectoryKind::Redis, DirectoryKind::Webhook];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DirectoryKind::Config => "config",
            DirectoryKind::Redis => "redis",
            DirectoryKind::Webhook => "webhook",
        }
    }
}

impl Kind for DirectoryKind {
    type Value = DirectoryKind;
    const FORM: Form = Form {
        value_name: "config|redis|webhook",
        noun: "a directory",
        advice: "\"config\", \"redis\" or \"webhook\"",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<DirectoryKind, Refusal> {
        let text = raw.scalar().unwrap_or_default().trim().to_ascii_lowercase();
        DirectoryKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| Self::FORM.refuse(bounds))
    }

    fn plain(value: &DirectoryKind) -> Plain {
        Plain::Text(value.name().to_owned())
    }
}
