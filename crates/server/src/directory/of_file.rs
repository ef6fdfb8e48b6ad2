//! The directory of the configuration file: its tables.

use super::answer::Answer;
use crate::config::Declared;
use crate::resource::{Resource, ResourceKind};

/// Whose `resource` is, by the tables. One without an owner is for operators only, whom nobody asks about.
pub(super) fn answer(declared: &Declared, user: &str, resource: &Resource) -> Answer {
    let owner = match resource.kind {
        ResourceKind::Deployment => declared.deployments.get(&resource.id).map(|it| it.owner.as_deref()),
        ResourceKind::Service => declared.services.get(&resource.id).map(|it| it.owner.as_deref()),
    };
    match owner {
        None => Answer::Unknown,
        Some(owner) if owner == Some(user) => Answer::Allowed,
        Some(_) => Answer::Denied,
    }
}
