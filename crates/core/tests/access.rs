//! Rights: shared by those of one key, counted by user, withdrawn once, given back by the last who holds them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use watertight_core::{
    AccessError, AccessKey, AccessPolicy, Answer, CloseReason, Delivery, Due, Grant, Life, NoAnswer, Policy,
    Tick,
};

use crate::support::{Rights, grant};

const POLICY: AccessPolicy =
    AccessPolicy { interval: Some(Duration::from_secs(30)), breaker_errors: 3, fail_open: false };

fn no_answer() -> Result<Answer, NoAnswer> {
    Err(NoAnswer::Failed("the directory is down".to_owned()))
}

fn life_under(access: &Arc<watertight_core::Access>) -> Life {
    let policy = Policy {
        kind: "session",
        heartbeat: Duration::from_secs(15),
        write_deadline: Duration::from_secs(30),
        read_deadline: Duration::from_secs(600),
        half_open: Duration::from_secs(20),
        closing_grace: Duration::from_secs(5),
        max_age: None,
        max_age_jitter_percent: 0,
    };
    Life::begin(Tick::ZERO, Arc::new(policy), Delivery::Socket, Some(access.lease().unwrap()), 0)
}

#[test]
fn streams_of_one_key_share_one_right_and_the_last_gives_it_back() {
    let rights = Rights::new(None);
    let first = rights.of("ada", 1);
    let again = rights.registry.get(&AccessKey::new([1; 16])).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(rights.registry.get(&AccessKey::new([2; 16])).is_none());
    drop(first);
    assert_eq!(rights.registry.len(), 1);
    let lease = again.lease().unwrap();
    drop(again);
    assert_eq!(lease.access().streams(), 1, "a stream holds it");
    drop(lease);
    rights.assert_balanced();
}

#[test]
fn threat_21_there_are_never_two_rights_of_one_key_so_that_a_revocation_finds_all() {
    let rights = Rights::new(None);
    let first = rights.of("ada", 1);
    let second = rights.of("ada", 1);
    assert!(Arc::ptr_eq(&first, &second), "whoever comes later gets the one that stands");
    let (mut one, mut other) = (life_under(&first), life_under(&second));
    assert_eq!(rights.registry.withdraw(|_| Some(CloseReason::TokenRevoked)).streams, 2);
    for life in [&mut one, &mut other] {
        assert_eq!(life.due(Tick(1)), Due::Close(CloseReason::TokenRevoked));
    }
    drop((first, second, one, other));
    rights.assert_balanced();
}

#[test]
fn a_question_that_could_not_be_put_is_no_missing_answer_unless_that_goes_on() {
    let rights = Rights::new(None);
    let access = rights.of("ada", 1);
    let not_asked = || Err(NoAnswer::NotAsked("no room".to_owned()));
    let hear = |count: usize| (0..count).fold(false, |closed, _| closed | access.hear(&not_asked(), &POLICY));
    assert!(!hear(9));
    assert_eq!((access.validations(), access.errors()), (0, 0));
    assert!(!hear(1));
    assert_eq!((access.validations(), access.errors()), (1, 1));
    assert!(!hear(19));
    assert!(hear(1), "three times ten");
    assert_eq!(access.withdrawn(), Some(CloseReason::CircuitOpen));
}

#[test]
fn a_right_that_was_withdrawn_closes_all_its_streams_with_the_first_reason_and_is_not_found_again() {
    let rights = Rights::new(None);
    let access = rights.of("ada", 1);
    let mut lives = [life_under(&access), life_under(&access)];
    assert!(access.withdraw(CloseReason::TokenRevoked));
    assert!(!access.withdraw(CloseReason::Forbidden));
    for life in &mut lives {
        assert_eq!(life.next(), Tick::ZERO, "it is to be looked at now");
        assert_eq!(life.due(Tick(1)), Due::Close(CloseReason::TokenRevoked));
    }
    assert!(rights.registry.get(&AccessKey::new([1; 16])).is_none());
    assert_eq!(access.lease().unwrap_err(), AccessError::Withdrawn(CloseReason::TokenRevoked));
    let anew = rights.of("ada", 1);
    drop((access, lives));
    let found = rights.registry.get(&AccessKey::new([1; 16])).unwrap();
    assert!(Arc::ptr_eq(&found, &anew), "the old one takes only itself out");
    drop((anew, found));
    rights.assert_balanced();
}

#[test]
fn three_missing_answers_in_a_row_close_it_and_an_answer_sets_the_count_back() {
    let rights = Rights::new(None);
    let access = rights.of("ada", 1);
    let life = life_under(&access);
    assert!(!access.hear(&no_answer(), &POLICY));
    assert!(!access.hear(&no_answer(), &POLICY));
    assert!(!access.hear(&Ok(Answer::Granted), &POLICY));
    assert!(!access.hear(&no_answer(), &POLICY));
    assert!(!access.hear(&no_answer(), &POLICY));
    assert_eq!(access.withdrawn(), None);
    assert!(access.hear(&no_answer(), &POLICY));
    assert_eq!(access.withdrawn(), Some(CloseReason::CircuitOpen));
    assert_eq!((life.validations(), life.errors(0)), (6, 5));
    let fail_open = AccessPolicy { fail_open: true, ..POLICY };
    let kept = rights.of("eve", 2);
    assert!((0..300).all(|_| !kept.hear(&no_answer(), &fail_open)), "whoever says so keeps access meanwhile");
    assert!(kept.hear(&Ok(Answer::Denied(CloseReason::Forbidden)), &fail_open), "a denial is an answer");
    drop((access, life, kept));
    rights.assert_balanced();
}

#[test]
fn an_answer_moves_the_expiry_and_says_whether_timers_stand_too_late() {
    let rights = Rights::new(None);
    let access = rights.until(Tick(10_000));
    let mut life = life_under(&access);
    assert!(!access.hear(&Ok(Answer::GrantedUntil(Tick(20_000))), &POLICY));
    assert_eq!(life.due(Tick(10_000)), Due::Wait(Tick(15_000)), "it goes on until the heartbeat");
    assert!(access.hear(&Ok(Answer::GrantedUntil(Tick(12_000))), &POLICY));
    assert_eq!(life.due(Tick(12_000)), Due::Close(CloseReason::TokenExpired));
}

#[test]
fn threat_21_a_user_has_so_many_streams_and_no_more_and_each_gives_its_own_back() {
    let rights = Rights::new(Some(2));
    let (one, other) = (rights.of("ada", 1), rights.of("ada", 2));
    let (first, second) = (one.lease().unwrap(), other.lease().unwrap());
    assert_eq!(one.lease().unwrap_err(), AccessError::TooManyStreams(2), "whatever token it comes with");
    let eve = rights.of("eve", 3).lease().unwrap();
    drop(first);
    let third = other.lease().unwrap();
    assert!(one.lease().is_err());
    let nobody = rights.grant(grant(9));
    let anonymous: Vec<_> = (0..5).map(|_| nobody.lease().unwrap()).collect();
    drop((one, other, second, third, eve, nobody, anonymous));
    rights.assert_balanced();
}

#[test]
fn each_right_is_asked_about_once_an_interval_with_jitter_whatever_its_streams() {
    let rights = Rights::new(None);
    let held: Vec<_> = (0..100u8)
        .map(|number| {
            rights.grant(Grant {
                ask_at: POLICY.next_question(Tick::ZERO, fastrand_of(number)),
                ..grant(number)
            })
        })
        .collect();
    let leases: Vec<_> = held.iter().flat_map(|access| (0..10).map(|_| access.lease().unwrap())).collect();
    let mut draws = 0u8;
    let mut draw = || {
        draws = draws.wrapping_add(1);
        fastrand_of(draws)
    };
    assert!(
        rights.registry.due(Tick(23_999), 1000, &POLICY, &mut draw).is_empty(),
        "never before 80 % of it"
    );
    let mut asked = 0;
    for tick in (24_000..=30_000).step_by(100) {
        asked += rights.registry.due(Tick(tick), 1000, &POLICY, &mut draw).len();
    }
    assert_eq!(asked, 100);
    assert!(
        rights.registry.due(Tick(200_000), 1000, &POLICY, &mut draw).is_empty(),
        "each is being asked about"
    );
    held.iter().for_each(|access| rights.registry.ask_at(access, Tick(60_000)));
    // However little room there is, each has its turn: here all of them always wait.
    let mut seen = std::collections::BTreeMap::<usize, u32>::new();
    for turn in 0..100 {
        let now = Tick(60_000 + turn);
        for access in rights.registry.due(now, 10, &POLICY, &mut draw) {
            *seen.entry(Arc::as_ptr(&access) as usize).or_default() += 1;
            rights.registry.ask_at(&access, now);
        }
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.values().all(|turns| *turns >= 3), "a tenth of the room each: {seen:?}");
    drop((held, leases));
    rights.assert_balanced();
}

/// Any number that differs.
fn fastrand_of(number: u8) -> u64 {
    u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
fn threat_21_whoever_revokes_reaches_all_rights_of_a_user_and_no_other() {
    let rights = Rights::new(None);
    let (one, other, eve) = (rights.of("ada", 1), rights.of("ada", 2), rights.of("eve", 3));
    let leases = [one.lease().unwrap(), one.lease().unwrap(), other.lease().unwrap()];
    let of_ada = |access: &watertight_core::Access| {
        (access.user().map(|user| &**user) == Some("ada")).then_some(CloseReason::TokenRevoked)
    };
    let withdrawn = rights.registry.withdraw(of_ada);
    assert_eq!((withdrawn.rights, withdrawn.streams), (2, 3));
    assert_eq!(eve.withdrawn(), None);
    assert_eq!(rights.registry.withdraw(of_ada).rights, 0, "once");
    drop((one, other, eve, leases));
    rights.assert_balanced();
}

#[test]
fn without_room_no_right_is_given_and_nothing_stays() {
    let rights = Rights::new(None);
    let all = rights.budget.try_charge(watertight_core::Owner::Caches, support::AMPLE - 100).unwrap();
    assert!(matches!(rights.registry.grant(grant(1)), Err(AccessError::Memory(_))));
    drop(all);
    rights.assert_balanced();
}
