//! What threads share, under the model checker: every order in which they can meet, up to a bound.
//!
//! Runs the very code that ships, with loom's locks and atomics in it (`sync.rs`):
//! `RUSTFLAGS="--cfg loom" cargo test -p watertight-core --test loom --release`
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

#[path = "loom/accounting.rs"]
mod accounting;
#[path = "loom/gate.rs"]
mod gate;
#[path = "loom/log.rs"]
mod log;
#[path = "loom/pump.rs"]
mod pump;
#[path = "loom/registry.rs"]
mod registry;
#[path = "loom/workplace.rs"]
mod workplace;
#[path = "loom/world.rs"]
mod world;
