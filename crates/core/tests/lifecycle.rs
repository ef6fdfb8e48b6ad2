//! What ends a connection other than its peer, and when it is looked at.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use watertight_core::{CloseReason, ConnectionState, Due, Lifecycle, Policy, Tick};

use crate::support::cases;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn policy() -> Policy {
    Policy {
        heartbeat: secs(15),
        write_deadline: secs(30),
        half_open: secs(20),
        max_age: Some(secs(1800)),
        max_age_jitter_percent: 20,
        revalidate: Some(secs(40)),
        breaker_errors: 3,
    }
}

fn at(seconds: u64) -> Tick {
    Tick(seconds * 1000)
}

#[test]
fn the_timer_is_the_nearest_of_all_that_may_come() {
    let policy = Policy { max_age_jitter_percent: 0, ..policy() };
    let quiet = Lifecycle::begin(at(0), &policy, Tick::NEVER, 0);
    assert_eq!(quiet.next(&policy), at(15), "heartbeat");
    let mut stalled = quiet;
    stalled.stalled(at(1));
    assert_eq!(stalled.next(&policy), at(31), "write deadline, and no heartbeat behind what waits");
    let late = Lifecycle { last_write: at(30), ..quiet };
    assert_eq!(late.next(&policy), at(40), "revalidation");
    let token = Lifecycle { token_expiry: at(7), ..quiet };
    assert_eq!(token.next(&policy), at(7), "token expiry");
    let old = Lifecycle { last_write: at(1795), revalidate_at: at(1835), ..quiet };
    assert_eq!(old.next(&policy), at(1800), "deadline");
}

#[test]
fn each_comes_with_its_own_consequence() {
    let policy = Policy { max_age_jitter_percent: 0, ..policy() };
    let begun = Lifecycle::begin(at(0), &policy, at(3600), 0);
    assert_eq!(begun.due(at(14), &policy), Due::Wait(at(15)));
    assert_eq!(begun.due(at(15), &policy), Due::Heartbeat);
    assert_eq!(begun.due(at(40), &policy), Due::Revalidate);
    assert_eq!(begun.due(at(1800), &policy), Due::Close(CloseReason::Timeout));
    assert_eq!(begun.due(at(3600), &policy), Due::Close(CloseReason::TokenExpired));
    let mut stalled = begun;
    stalled.stalled(at(5));
    assert_eq!(stalled.due(at(34), &policy), Due::Wait(at(35)));
    assert_eq!(stalled.due(at(35), &policy), Due::Close(CloseReason::SlowConsumer));
    assert_eq!(stalled.due(at(1800), &policy), Due::Close(CloseReason::Timeout));
}

#[test]
fn a_byte_accepted_begins_the_write_deadline_anew_and_only_that() {
    let policy = policy();
    let mut life = Lifecycle::begin(at(0), &policy, Tick::NEVER, 0);
    life.stalled(at(1));
    life.stalled(at(20));
    assert_eq!(life.stalled_since, at(1), "it waits since the first byte that was not taken");
    life.wrote(at(25), true);
    assert_eq!(life.stalled_since, at(25));
    life.wrote(at(26), false);
    assert_eq!((life.stalled_since, life.last_write), (Tick::NEVER, at(26)));
    assert_eq!(life.next(&policy), at(40), "access is asked again on time, however much is written");
}

#[test]
fn a_connection_without_limits_has_heartbeats_only() {
    let policy = Policy { max_age: None, revalidate: None, ..policy() };
    let life = Lifecycle::begin(at(5), &policy, Tick::NEVER, u64::MAX);
    assert_eq!((life.deadline, life.revalidate_at), (Tick::NEVER, Tick::NEVER));
    assert_eq!(life.next(&policy), at(20));
    assert_eq!(life.due(Tick(u64::MAX - 1), &policy), Due::Heartbeat);
}

#[test]
fn the_instants_of_a_connection_take_forty_bytes() {
    assert_eq!(size_of::<Lifecycle>(), 40);
}

#[test]
fn three_errors_in_a_row_open_the_breaker_and_a_success_between_them_does_not() {
    let policy = policy();
    let mut state = ConnectionState::begin("session", None, at(0));
    assert_eq!((state.failed(&policy), state.failed(&policy)), (None, None));
    state.succeeded();
    assert_eq!((state.failed(&policy), state.failed(&policy)), (None, None));
    assert_eq!(state.failed(&policy), Some(CloseReason::CircuitOpen));
    assert_eq!((state.errors, state.errors_in_a_row), (5, 3));
}

#[test]
fn errors_without_end_do_not_overflow_their_counters() {
    let policy = policy();
    let mut state = ConnectionState::begin("session", None, at(0));
    state.errors = u32::MAX;
    for _ in 0..1000 {
        let _ = state.failed(&policy);
    }
    assert_eq!((state.errors, state.errors_in_a_row), (u32::MAX, u8::MAX));
}

#[test]
fn the_way_out_is_taken_once() {
    let mut state = ConnectionState::begin("logs", Some("ada".into()), at(3));
    assert!(state.valid);
    assert_eq!([state.end(), state.end(), state.end()], [true, false, false]);
    assert!(!state.valid);
}

#[test]
fn close_codes_are_stable_and_each_goodbye_is_valid_json() {
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
        let goodbye: serde_json::Value = serde_json::from_str(&reason.to_json()).unwrap();
        assert_eq!(goodbye, serde_json::json!({ "error": reason.message(), "code": code }));
    }
    assert_eq!(CloseReason::Timeout.to_json(), r#"{"error":"Connection timeout","code":"TIMEOUT"}"#);
}

#[test]
fn ages_spread_over_the_whole_of_80_to_100_percent() {
    let policy = policy();
    let ages: Vec<_> = (0..=360_000).step_by(1000).map(|draw| policy.age_of_one(draw).unwrap()).collect();
    assert_eq!((ages.iter().min(), ages.iter().max()), (Some(&secs(1440)), Some(&secs(1800))));
}

fn tick() -> impl Strategy<Value = Tick> {
    prop_oneof![4 => (0u64..200_000).prop_map(Tick), 1 => Just(Tick::NEVER)]
}

prop_compose! {
    fn life()(
        last_write in (0u64..200_000).prop_map(Tick),
        stalled_since in tick(),
        deadline in tick(),
        token_expiry in tick(),
        revalidate_at in tick(),
    ) -> Lifecycle {
        Lifecycle { last_write, stalled_since, deadline, token_expiry, revalidate_at }
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn nothing_is_early_and_nothing_that_is_due_is_left_waiting(life in life(), now in 0u64..300_000) {
        let (policy, now) = (policy(), Tick(now));
        let stall_ends = life.stalled_since.after(policy.write_deadline);
        let silence_ends = life.last_write.after(policy.heartbeat);
        let heard = !life.stalled_since.is_set() && now >= silence_ends;
        let expected = if now >= life.token_expiry {
            Some(Due::Close(CloseReason::TokenExpired))
        } else if now >= life.deadline {
            Some(Due::Close(CloseReason::Timeout))
        } else if now >= stall_ends {
            Some(Due::Close(CloseReason::SlowConsumer))
        } else if now >= life.revalidate_at {
            Some(Due::Revalidate)
        } else {
            heard.then_some(Due::Heartbeat)
        };
        match life.due(now, &policy) {
            Due::Wait(until) => {
                prop_assert_eq!(expected, None);
                prop_assert!(until > now);
                prop_assert_eq!(until, life.next(&policy));
                prop_assert!(!matches!(life.due(until, &policy), Due::Wait(_)), "it waits for something");
            }
            due => prop_assert_eq!(Some(due), expected),
        }
    }

    #[test]
    fn ages_are_within_80_to_100_percent(age_ms in 100u64..10_000_000, draw in any::<u64>()) {
        let policy = Policy { max_age: Some(Duration::from_millis(age_ms)), ..policy() };
        let age = policy.age_of_one(draw).unwrap();
        prop_assert!(age <= Duration::from_millis(age_ms));
        prop_assert!(age >= Duration::from_millis(age_ms * 80 / 100));
        let exact = Policy { max_age_jitter_percent: 0, ..policy };
        prop_assert_eq!(exact.age_of_one(draw), exact.max_age);
    }
}
