//! The client against servers that do what a test tells them. One binary for all files: each of its own would compile the
//! client's generic code once more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
mod connecting;
mod contract;
mod lifecycle;
mod odd_servers;
mod parser_cases;
mod parsing_table;
mod polling;
#[cfg(feature = "tls")]
mod proxy;
mod public_types;
mod publish_all;
mod publisher;
mod publishing_at_once;
mod reconnecting;
mod redirects;
mod requests;
mod storms;
mod subscriber;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
