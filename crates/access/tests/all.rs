//! What tokens allow, and who says so. One binary for all files: each of its own would compile the same generic code once
//! more.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests measure real time, and fail by panicking"
)]

mod claims;
mod common;
mod encrypted;
mod grants;
mod introspection;
mod key_set_outages;
mod key_sets;
mod keys;
mod properties;
mod verifying;
