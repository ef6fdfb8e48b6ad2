//! What ends a stream, and when it is looked at.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watertight_core::{CloseReason, Delivery, Due, End, Finish, Life, Policy, Tick};

use crate::support::{Rights, cases};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn policy() -> Policy {
    Policy {
        kind: "session",
        heartbeat: secs(15),
        write_deadline: secs(30),
        read_deadline: secs(600),
        half_open: secs(20),
        closing_grace: secs(5),
        max_age: Some(secs(1800)),
        max_age_jitter_percent: 0,
    }
}

fn at(seconds: u64) -> Tick {
    Tick(seconds * 1000)
}

fn life_of(policy: Policy, delivery: Delivery, expires: Tick) -> Life {
    let access = expires.is_set().then(|| Rights::new(None).until(expires).lease().unwrap());
    Life::begin(at(0), Arc::new(policy), delivery, access, 0)
}

fn socket() -> Life {
    life_of(policy(), Delivery::Socket, Tick::NEVER)
}

#[test]
fn the_timer_is_the_nearest_of_all_that_may_come() {
    assert_eq!(socket().next(), at(15), "heartbeat");
    let mut stalled = socket();
    stalled.stalled(at(1));
    assert_eq!(stalled.next(), at(31), "write deadline, and no heartbeat behind what waits");
    let mut busy = socket();
    busy.wrote(at(30), false);
    assert_eq!(busy.next(), at(45), "heartbeat after what was written");
    assert_eq!(life_of(policy(), Delivery::Socket, at(7)).next(), at(7), "token expiry");
    let mut old = life_of(policy(), Delivery::Socket, Tick::NEVER);
    old.wrote(at(1795), false);
    assert_eq!(old.next(), at(1800), "deadline");
    old.close(at(1796), CloseReason::Disconnected);
    assert_eq!(old.next(), at(1801), "the closing event's own deadline, whatever else would come");
}

#[test]
fn each_comes_with_its_own_consequence() {
    let mut life = life_of(policy(), Delivery::Socket, at(3600));
    assert_eq!(life.due(at(14)), Due::Wait(at(15)));
    assert_eq!(life.due(at(15)), Due::Heartbeat);
    life.wrote(at(15), false);
    assert_eq!(life.due(at(40)), Due::Heartbeat);
    assert_eq!(life.due(at(1800)), Due::Close(CloseReason::Timeout));
    assert_eq!(life.closing(), Some(CloseReason::Timeout));
    let mut life = life_of(Policy { max_age: None, ..policy() }, Delivery::Socket, at(3600));
    assert_eq!(life.due(at(3600)), Due::Close(CloseReason::TokenExpired));
}

#[test]
fn a_byte_accepted_begins_the_write_deadline_anew_and_only_that() {
    let mut life = socket();
    life.stalled(at(1));
    life.stalled(at(20));
    assert_eq!(life.next(), at(31), "it waits since the first byte that was not taken");
    life.wrote(at(25), true);
    assert_eq!(life.due(at(40)), Due::Wait(at(55)));
    life.wrote(at(26), false);
    assert!(!life.is_stalled());
    assert_eq!(life.next(), at(41), "heartbeat");
}

#[test]
fn a_heartbeat_that_waited_and_was_never_needed_stalls_nobody() {
    let mut life = socket();
    life.stalled(at(15));
    life.has_room();
    assert_eq!(life.due(at(46)), Due::Heartbeat, "the line is silent, not stalled");
}

#[test]
fn threat_31_after_a_jump_of_the_clock_a_reader_is_tried_before_its_deadline_counts() {
    let mut life = life_of(policy(), Delivery::Socket, Tick::NEVER);
    life.stalled(at(1));
    assert_eq!(life.due(at(100)), Due::TryWrite);
    life.wrote(at(100), true);
    assert_eq!(life.due(at(101)), Due::Wait(at(130)), "it was only the process that stood still");
    assert_eq!(life.due(at(130)), Due::TryWrite);
    assert_eq!(life.due(at(130)), Due::Wait(at(131)), "a grace for the kernel to say that there is room");
    assert_eq!(life.due(at(131)), Due::End(End::CutOff(CloseReason::SlowConsumer)));
    assert_eq!(life.ended(), Some(End::CutOff(CloseReason::SlowConsumer)));
}

#[test]
fn a_closing_event_has_a_deadline_of_its_own() {
    let mut life = socket();
    assert!(life.close(at(2), CloseReason::SessionEnded));
    assert_eq!(life.due(at(6)), Due::Wait(at(7)));
    assert_eq!(life.due(at(7)), Due::TryWrite);
    let by = Tick(at(7).0 + 625);
    assert_eq!(life.due(at(7)), Due::Wait(by));
    assert_eq!(life.due(by), Due::End(End::CutOff(CloseReason::SessionEnded)));
    let mut told = socket();
    told.close(at(2), CloseReason::SessionEnded);
    told.told();
    assert_eq!(told.due(at(7)), Due::End(End::Closed(CloseReason::SessionEnded)));
}

#[test]
fn who_is_to_finish_reads_to_the_end_first_and_is_told_at_the_latest_when_it_must_be() {
    let finish = Finish { reason: CloseReason::ShuttingDown, close_at: at(8), cut_off_at: at(10) };
    let mut reader = socket();
    reader.finish(finish);
    assert_eq!((reader.closing(), reader.next()), (None, at(8)));
    assert!(reader.caught_up(at(3)));
    assert_eq!(reader.closing(), Some(CloseReason::ShuttingDown));
    assert_eq!(reader.next(), at(8), "five seconds for the closing event");
    let mut slow = socket();
    slow.finish(finish);
    slow.finish(Finish::after_log(CloseReason::SessionEnded));
    assert_eq!(slow.due(at(8)), Due::Close(CloseReason::ShuttingDown));
    assert_eq!(slow.next(), at(10), "cut off with the rest");
    let mut other = socket();
    assert!(!other.caught_up(at(1)), "nothing was to be finished");
    other.finish(finish);
    assert!(other.close(at(2), CloseReason::Forbidden), "a harder end comes before");
    assert!(!other.caught_up(at(3)));
    assert_eq!(other.closing(), Some(CloseReason::Forbidden));
}

#[test]
fn a_rust_stream_and_a_poll_have_no_heartbeat_and_their_own_patience() {
    let quiet = Policy { max_age: None, ..policy() };
    for (delivery, patience) in [(Delivery::Poll, 30), (Delivery::Stream, 600)] {
        let mut life = life_of(quiet.clone(), delivery, Tick::NEVER);
        assert_eq!(life.next(), Tick::NEVER);
        life.stalled(at(1));
        assert_eq!(life.next(), at(1 + patience));
    }
}

#[test]
fn a_stream_that_another_delivery_takes_over_keeps_its_age() {
    let mut life = life_of(policy(), Delivery::Stream, at(900));
    life.deliver_by(Delivery::Socket);
    assert_eq!(life.due(at(900)), Due::Close(CloseReason::TokenExpired));
}

#[test]
fn errors_of_a_source_count_from_the_streams_beginning_on() {
    let life = socket().after_source_errors(4);
    assert_eq!((life.errors(4), life.errors(7), life.errors(0)), (0, 3, 0));
}

#[test]
fn a_slow_reader_that_takes_nothing_is_cut_off_at_once() {
    let mut stalled = socket();
    stalled.stalled(at(1));
    assert!(stalled.close(at(2), CloseReason::SlowConsumer));
    assert_eq!(stalled.ended(), Some(End::CutOff(CloseReason::SlowConsumer)));
    let mut behind = socket();
    assert!(behind.close(at(2), CloseReason::SlowConsumer));
    assert_eq!((behind.ended(), behind.closing()), (None, Some(CloseReason::SlowConsumer)));
}

#[test]
fn the_first_reason_and_the_first_end_stand() {
    let mut life = socket();
    let reasons = [CloseReason::Disconnected, CloseReason::Timeout, CloseReason::Disconnected];
    assert_eq!(reasons.map(|reason| life.close(at(1), reason)), [true, false, false]);
    let ends = [End::PeerClosed, End::Closed(CloseReason::Timeout), End::PeerClosed];
    assert_eq!(ends.map(|end| life.end(end)), [true, false, false]);
    life.told();
    assert_eq!((life.ended(), life.due(at(9999))), (Some(End::PeerClosed), Due::End(End::PeerClosed)));
}

#[test]
fn close_codes_are_stable_and_each_closing_event_is_valid_json() {
    let codes = [
        (CloseReason::Timeout, "TIMEOUT", true),
        (CloseReason::TokenExpired, "TOKEN_EXPIRED", true),
        (CloseReason::TokenRevoked, "TOKEN_REVOKED", false),
        (CloseReason::Forbidden, "FORBIDDEN", false),
        (CloseReason::CircuitOpen, "CIRCUIT_OPEN", true),
        (CloseReason::SlowConsumer, "SLOW_CONSUMER", true),
        (CloseReason::SessionEnded, "SESSION_ENDED", false),
        (CloseReason::ShuttingDown, "SHUTTING_DOWN", true),
        (CloseReason::Overloaded, "OVERLOADED", true),
        (CloseReason::Disconnected, "DISCONNECTED", true),
    ];
    assert_eq!(codes.map(|(reason, ..)| reason), CloseReason::ALL, "every reason is here");
    for (reason, code, may_return) in codes {
        assert_eq!((reason.code(), reason.may_return()), (code, may_return));
        let event: serde_json::Value = serde_json::from_str(&reason.to_json()).unwrap();
        assert_eq!(event, serde_json::json!({ "error": reason.message(), "code": code }));
        assert_eq!(End::CutOff(reason).name(), code);
    }
    assert_eq!(CloseReason::Timeout.to_json(), r#"{"error":"Connection timeout","code":"TIMEOUT"}"#);
}

#[test]
fn ages_spread_over_the_whole_of_80_to_100_percent() {
    let policy = Policy { max_age_jitter_percent: 20, ..policy() };
    let ages: Vec<_> = (0..=360_000).step_by(1000).map(|draw| policy.age_of_one(draw).unwrap()).collect();
    assert_eq!((ages.iter().min(), ages.iter().max()), (Some(&secs(1440)), Some(&secs(1800))));
}

#[test]
fn a_life_is_small() {
    assert!(size_of::<Life>() <= 128, "{}", size_of::<Life>());
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn ages_are_within_80_to_100_percent(age_ms in 100u64..10_000_000, draw in any::<u64>()) {
        let max_age = Some(Duration::from_millis(age_ms));
        let policy = Policy { max_age, max_age_jitter_percent: 20, ..policy() };
        let age = policy.age_of_one(draw).unwrap();
        prop_assert!(age <= Duration::from_millis(age_ms));
        prop_assert!(age >= Duration::from_millis(age_ms * 80 / 100));
        let exact = Policy { max_age_jitter_percent: 0, ..policy };
        prop_assert_eq!(exact.age_of_one(draw), exact.max_age);
    }
}
