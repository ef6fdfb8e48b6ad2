//! What feeds streams by itself while somebody watches them: samplers of services, subscriptions in Redis. How sources are
//! started, shared and stopped is the library's; here stand those of this service.

pub(crate) mod logs;
pub(crate) mod metrics;
mod sampling;
pub(crate) mod services;
pub(crate) mod stats;
