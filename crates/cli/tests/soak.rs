//! The model checker's short form: everything at random against the real hub, held against a model. Its seed is
//! printed; `cargo xtask soak --seed N` repeats it, for as long as one likes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use watertight_testkit::soak::{self, Options};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

#[test]
fn every_reader_is_told_everything_once_in_order_whatever_happens() {
    // Three rounds: a plain hub, one whose memory is short, and one that speaks TLS.
    let options = Options::short(3, 2000);
    println!("soak: seed {}", options.seed);
    let summary = soak::run(Path::new(WATERTIGHT), &options, &AtomicBool::new(false));
    let summary = summary.unwrap_or_else(|failure| panic!("{failure}"));
    println!("soak: {summary}");
    assert!(summary.acknowledged > 1000 && summary.delivered > 5000, "too little to mean much: {summary}");
    for what in ["evicted", "expired", "unknown_id"] {
        assert!(summary.told.contains_key(what), "nobody was told {what}: {summary}");
    }
}

#[test]
fn the_checker_notices_one_event_that_is_lost() {
    let options = Options { lose_one_in: Some(500), ..Options::short(1, 1500) };
    println!("soak: seed {}", options.seed);
    let failure = soak::run(Path::new(WATERTIGHT), &options, &AtomicBool::new(false)).unwrap_err();
    assert!(failure.context.contains("is lost on purpose"), "{failure}");
    let is_noticed = [
        "lost, doubled or out of order",
        "does not begin after",
        "goes on at",
        "goes on after",
        "every reader has everything",
    ];
    assert!(is_noticed.iter().any(|what| failure.what.contains(what)), "{failure}");
    let text = failure.to_string();
    assert!(text.contains(&format!("seed {}", options.seed)) && text.contains("the hub's log"), "{text}");
}
