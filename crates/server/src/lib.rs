//! The Watertight hub as a service: configuration, HTTP API, limits, shutdown.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | one table of settings; file, environment and flags in rising order |
//! | [`state`], [`router`] | what all requests share; every route behind the middleware |
//! | `dropped_lines` | [`DroppedLines`]: how many lines the log of the program around it dropped |
//! | `routes` | one file per group of calls |
//! | `publishing` | reading what a publisher sends: bodies, batches, idempotency |
//! | [`directory`] | whose a deployment or a service is: asked of the file, of Redis, of the application |
//! | `redis`, `outbound` | connections that the hub opens: to Redis, and with TLS to anybody |
//! | [`resource`] | deployments and services: what belongs to somebody |
//! | [`problem`] | every refusal, as `application/problem+json` with a stable code |
//! | `middleware` | what every request passes: limits on targets, security headers |
//! | `access` | authorization: tokens, rights, revocations |
//! | `reload` | certificates, keys and the tables of the file, read again while the hub runs |
//! | `hosts`, `cors` | which hosts the hub answers to; which pages may use it |
//! | `listening` | the sockets it listens at: made by the hub, or given by a service manager |
//! | [`metrics`] | Prometheus figures; no label that a client can choose |
//! | `figures` | the hub's figures as JSON |
//! | `searches` | how many lists are searched at once |
//! | `memory` | how much memory there is, and the thresholds that follow from it |
//! | [`run`] | start, serve, stop |
//! | `in_process` | [`HubService`]: the same around a hub that another program has made |

mod access;
pub mod config;
mod cors;
pub mod directory;
mod dropped_lines;
mod figures;
mod hosts;
mod in_process;
mod listening;
mod memory;
pub mod metrics;
mod middleware;
mod outbound;
pub mod problem;
mod publishing;
mod redis;
mod reload;
pub mod resource;
pub mod router;
mod routes;
pub mod run;
mod searches;
mod sources;
mod state;
mod tls;

pub use self::access::AccessStartError;
pub use self::dropped_lines::DroppedLines;
pub use self::in_process::HubService;
pub use self::listening::{GivenError, GivenSockets, ListenError};
pub use self::memory::DoesNotFit;
pub use self::middleware::Front;
pub use self::router::{admin_application, application, public_application};
pub use self::run::{Listening, Reading, RunError, run};
pub use self::state::App;
