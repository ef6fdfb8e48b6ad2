//! What belongs to somebody: deployments and services, and what may be done with them.

use std::fmt;

pub use watertight_access::Action;

/// How many bytes the id of a deployment or a service may have.
pub const RESOURCE_ID_BYTES_MAX: usize = 128;

/// The session of the hub's own figures, and the path at which it is read. Nobody else publishes to it or ends it.
pub const FIGURES_SESSION: &str = "stats/stream";

/// The id of a deployment or a service: one segment of a path, decoded. 1 to [`RESOURCE_ID_BYTES_MAX`] bytes of UTF-8
/// without control characters and without `/`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(Box<str>);

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResourceId {
    /// It is empty.
    #[error("an id must not be empty")]
    Empty,
    /// It is `.` or `..`.
    #[error("an id cannot be \".\" or \"..\": whoever writes an address takes them out of it")]
    Dots,
    /// It is too long.
    #[error("an id may have at most {RESOURCE_ID_BYTES_MAX} bytes")]
    TooLong,
    /// It would be more than one segment of a path, or break a line.
    #[error("an id must not contain control characters or /")]
    Character,
}

impl ResourceId {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// When it is no id.
    pub fn new(text: &str) -> Result<ResourceId, InvalidResourceId> {
        match text {
            "" => Err(InvalidResourceId::Empty),
            "." | ".." => Err(InvalidResourceId::Dots),
            text if text.len() > RESOURCE_ID_BYTES_MAX => Err(InvalidResourceId::TooLong),
            text if text.contains(|c: char| c == '/' || c.is_control()) => Err(InvalidResourceId::Character),
            text => Ok(ResourceId(text.into())),
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What sort of thing belongs to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Has logs.
    Deployment,
    /// Has metrics.
    Service,
}

impl ResourceKind {
    /// The first segment of its paths, and the name of its table in the file.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            ResourceKind::Deployment => "deployments",
            ResourceKind::Service => "services",
        }
    }
}

/// A deployment or a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Which it is.
    pub id: ResourceId,
}

impl Resource {
    /// The deployment with this id.
    #[must_use]
    pub fn deployment(id: ResourceId) -> Resource {
        Resource { kind: ResourceKind::Deployment, id }
    }

    /// The service with this id.
    #[must_use]
    pub fn service(id: ResourceId) -> Resource {
        Resource { kind: ResourceKind::Service, id }
    }

    /// What it takes, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Resource>() + self.id.as_str().len()
    }
}

/// `deployments/42`: no two resources are written alike, because an id has no `/`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.plural(), self.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        for text in ["42", "api-v2", "a:b", "Ü 🚰", "...", "*", &"x".repeat(128)] {
            assert_eq!(ResourceId::new(text).map(|id| id.as_str().to_owned()), Ok(text.to_owned()));
        }
        for (text, wrong) in [
            ("", InvalidResourceId::Empty),
            (".", InvalidResourceId::Dots),
            ("..", InvalidResourceId::Dots),
            ("a/b", InvalidResourceId::Character),
            ("/", InvalidResourceId::Character),
            ("a\nb", InvalidResourceId::Character),
            ("\u{85}", InvalidResourceId::Character),
            (&"x".repeat(129), InvalidResourceId::TooLong),
        ] {
            assert_eq!(ResourceId::new(text), Err(wrong), "{text:?}");
        }
    }

    #[test]
    fn no_two_resources_are_written_alike() {
        let id = |text| ResourceId::new(text).unwrap();
        assert_eq!(Resource::deployment(id("42")).to_string(), "deployments/42");
        assert_eq!(Resource::service(id("42")).to_string(), "services/42");
    }
}
