//! The calls of the API, a file per group.

pub(crate) mod accept;
pub(crate) mod append;
pub(crate) mod assets;
pub(crate) mod at_once;
pub(crate) mod connections;
pub(crate) mod deployments;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod fallback;
pub(crate) mod health;
pub(crate) mod listing;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod poll;
pub(crate) mod query;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod sources;
pub(crate) mod stats;
pub(crate) mod tokens;
