//! The Watertight hub as a service: configuration, HTTP API, limits, shutdown.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | one table of settings; file, environment and flags in rising order |
//! | [`app`] | what all requests share, and the router |
//! | `routes` | one file per group of calls |
//! | `publishing` | reading what a publisher sends: bodies, batches, idempotency |
//! | [`problem`] | every refusal, as `application/problem+json` with a stable code |
//! | `middleware` | what every request passes: limits on targets, CORS, security headers |
//! | [`metrics`] | Prometheus figures; no label that a client can choose |
//! | [`run`] | start, serve, stop |

pub mod app;
pub mod config;
pub mod metrics;
mod middleware;
pub mod problem;
mod publishing;
mod routes;
pub mod run;
mod tls;

pub use self::app::{App, router};
pub use self::run::{Observer, RunError, run};
