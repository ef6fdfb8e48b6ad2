//! The hub as a library, over real sockets where there are any. One binary for all files: each of its own would compile the hub's
//! generic code once more.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test owns its tasks and its clock, and fails by panicking"
)]

#[cfg(feature = "axum")]
mod access;
mod body;
mod cleanup;
#[cfg(feature = "axum")]
mod ends;
mod inline;
mod publishing;
#[cfg(feature = "axum")]
mod serve;
mod session_end;
mod source_check;
#[cfg(feature = "axum")]
mod sources;
mod subscription;
#[cfg(feature = "axum")]
mod supervision;
mod support;
mod takeover;
#[cfg(feature = "axum")]
mod tls;
