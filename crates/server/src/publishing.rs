//! Reading what a publisher sends: a body within its limits, events within theirs, a key that makes a retry
//! safe. Nothing here publishes.

pub(crate) mod body;
pub(crate) mod events;
pub(crate) mod idempotency;
pub(crate) mod lines;
