//! A life beside a slow, obvious model: the model keeps everything that was ever said, and answers each question
//! by reading all of it again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watertight_core::{AccessPolicy, Answer, CloseReason, Delivery, Due, End, Finish, Life, Policy, Tick};

use crate::support::{Rights, cases};

const POLICY: AccessPolicy = AccessPolicy { interval: None, breaker_errors: 3, fail_open: false };

#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Wrote { waiting: bool },
    Stalled,
    HasRoom,
    Skipped,
    Close(CloseReason),
    Finish(CloseReason, u64, u64),
    CaughtUp,
    Told,
    End(End),
    Due,
    Withdrawn(CloseReason),
    Expires(u64),
    // What followed from a question.
    Tried,
}

struct Model {
    policy: Policy,
    delivery: Delivery,
    expires: Tick,
    deadline: Tick,
    history: Vec<(Tick, Said)>,
    closing: Option<(CloseReason, Tick)>,
    ended: Option<End>,
}

impl Model {
    fn last(&self, is: impl Fn(Said) -> bool) -> Option<(usize, Tick)> {
        self.history
            .iter()
            .enumerate()
            .rev()
            .find(|(_, (_, said))| is(*said))
            .map(|(at, (when, _))| (at, *when))
    }

    fn finish(&self) -> Option<(CloseReason, Tick, Tick)> {
        self.history.iter().find_map(|(when, said)| match said {
            Said::Finish(reason, close, cut) => Some((*reason, plus(*when, *close), plus(*when, *cut))),
            _ => None,
        })
    }

    /// Since when something waits.
    fn waits_since(&self) -> Option<Tick> {
        let taken = |said| matches!(said, Said::Wrote { .. } | Said::HasRoom);
        let from = self.last(taken);
        if let Some((at, when)) = from
            && self.history[at].1 == (Said::Wrote { waiting: true })
        {
            return Some(when);
        }
        let later = &self.history[from.map_or(0, |(at, _)| at + 1)..];
        later.iter().filter(|(_, said)| *said == Said::Stalled).map(|(when, _)| *when).min()
    }

    /// When it was tried once more, if that is not over.
    fn tried(&self) -> Option<Tick> {
        let (at, when) = self.last(|said| said == Said::Tried)?;
        let is_over = self.history[at..]
            .iter()
            .any(|(_, said)| matches!(said, Said::Wrote { .. } | Said::HasRoom | Said::Close(_)));
        (!is_over).then_some(when)
    }

    /// Why the right was withdrawn: the first reason stands.
    fn withdrawn(&self) -> Option<CloseReason> {
        self.history.iter().find_map(|(_, said)| match said {
            Said::Withdrawn(reason) => Some(*reason),
            _ => None,
        })
    }

    /// When the right expires: the last that was heard stands.
    fn expires(&self) -> Tick {
        let heard = self.history.iter().rev().find_map(|(_, said)| match said {
            Said::Expires(at) => Some(Tick(*at)),
            _ => None,
        });
        heard.unwrap_or(self.expires)
    }

    /// How long a closing event waits for its reader.
    fn grace(&self, reason: CloseReason) -> Duration {
        let lost = ["TOKEN_EXPIRED", "TOKEN_REVOKED", "FORBIDDEN", "CIRCUIT_OPEN"].contains(&reason.code());
        if lost {
            self.policy.closing_grace.min(Duration::from_millis(500))
        } else {
            self.policy.closing_grace
        }
    }

    fn is_open(&self) -> bool {
        self.closing.is_none() && self.ended.is_none()
    }

    fn close(&mut self, now: Tick, reason: CloseReason) -> bool {
        if !self.is_open() {
            return false;
        }
        let stalls = self.waits_since().is_some();
        self.history.push((now, Said::Close(reason)));
        if reason == CloseReason::SlowConsumer && stalls {
            self.ended = Some(End::CutOff(reason));
        } else {
            let latest = self.finish().map_or(Tick::NEVER, |(_, _, cut)| cut);
            self.closing = Some((reason, now.after(self.grace(reason)).min(latest)));
        }
        true
    }

    fn over(&mut self, now: Tick, over: Tick, time: Duration, end: End) -> Due {
        if now < over {
            return Due::Wait(over);
        }
        let Some(tried) = self.tried() else {
            self.history.push((now, Said::Tried));
            return Due::TryWrite;
        };
        let by = tried.after((time / 8).min(Duration::from_secs(1)));
        if now < by {
            return Due::Wait(by);
        }
        self.ended = Some(end);
        Due::End(end)
    }

    fn due(&mut self, now: Tick) -> Option<Due> {
        if let Some(end) = self.ended {
            return Some(Due::End(end));
        }
        if let Some((reason, by)) = self.closing {
            return Some(self.over(now, by, self.grace(reason), End::CutOff(reason)));
        }
        let mut ends =
            vec![(self.expires(), CloseReason::TokenExpired), (self.deadline, CloseReason::Timeout)];
        if let Some(reason) = self.withdrawn() {
            ends.insert(0, (Tick::ZERO, reason));
        }
        if let Some((reason, close, _)) = self.finish() {
            ends.insert(0, (close, reason));
        }
        if let Some((_, reason)) = ends.into_iter().find(|(at, _)| now >= *at) {
            self.close(now, reason);
            return Some(self.ended.map_or(Due::Close(reason), Due::End));
        }
        let patience = match self.delivery {
            Delivery::Stream => self.policy.read_deadline,
            _ => self.policy.write_deadline,
        };
        if let Some(since) = self.waits_since() {
            let end = End::CutOff(CloseReason::SlowConsumer);
            match self.over(now, since.after(patience), patience, end) {
                Due::Wait(_) => {}
                due => return Some(due),
            }
        }
        let wrote = |said| matches!(said, Said::Wrote { .. } | Said::Skipped);
        let silent_since = self.last(wrote).map_or(Tick::ZERO, |(_, when)| when);
        let beats = matches!(self.delivery, Delivery::Socket | Delivery::Body);
        if beats && self.waits_since().is_none() && now >= silent_since.after(self.policy.heartbeat) {
            return Some(Due::Heartbeat);
        }
        None
    }
}

fn plus(when: Tick, ms: u64) -> Tick {
    when.after(Duration::from_millis(ms))
}

fn reasons() -> impl Strategy<Value = CloseReason> {
    prop::sample::select(CloseReason::ALL.to_vec())
}

fn said() -> impl Strategy<Value = Said> {
    let ends = vec![End::PeerClosed, End::Answered, End::Dropped, End::SocketError];
    prop_oneof![
        6 => any::<bool>().prop_map(|waiting| Said::Wrote { waiting }),
        6 => Just(Said::Stalled),
        3 => Just(Said::HasRoom),
        2 => Just(Said::Skipped),
        1 => reasons().prop_map(Said::Close),
        1 => (reasons(), 0u64..60_000, 0u64..60_000)
            .prop_map(|(reason, close, more)| Said::Finish(reason, close, close + more)),
        2 => Just(Said::CaughtUp),
        1 => Just(Said::Told),
        1 => prop::sample::select(ends).prop_map(Said::End),
        1 => reasons().prop_map(Said::Withdrawn),
        1 => (0u64..400_000).prop_map(Said::Expires),
        20 => Just(Said::Due),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    (1u64..30, 1u64..60, 1u64..90, 1u64..10, prop::option::of(1u64..200)).prop_map(
        |(beat, write, read, grace, age)| Policy {
            kind: "session",
            heartbeat: Duration::from_secs(beat),
            write_deadline: Duration::from_secs(write),
            read_deadline: Duration::from_secs(read),
            half_open: Duration::from_secs(20),
            closing_grace: Duration::from_secs(grace),
            max_age: age.map(Duration::from_secs),
            max_age_jitter_percent: 0,
        },
    )
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_life_ends_once_for_the_first_reason_and_never_later_than_it_must(
        policy in policies(),
        delivery in prop::sample::select(vec![
            Delivery::Socket, Delivery::Body, Delivery::Poll, Delivery::Stream
        ]),
        expires in prop_oneof![3 => Just(Tick::NEVER), 1 => (0u64..200_000).prop_map(Tick)],
        steps in prop::collection::vec((0u64..20_000, said()), 1..80),
    ) {
        let access = Rights::new(None).until(expires);
        let lease = access.lease().unwrap();
        let mut life = Life::begin(Tick::ZERO, Arc::new(policy.clone()), delivery, Some(lease), 0);
        let deadline = policy.max_age.map_or(Tick::NEVER, |age| Tick::ZERO.after(age));
        let mut model =
            Model { policy, delivery, expires, deadline, history: Vec::new(), closing: None, ended: None };
        let mut now = Tick::ZERO;
        for (pause, step) in steps {
            now = Tick(now.0 + pause);
            let before = life.ended();
            match step {
                Said::Wrote { waiting } => life.wrote(now, waiting),
                Said::Stalled => life.stalled(now),
                Said::HasRoom => life.has_room(),
                Said::Skipped => life.skipped_heartbeat(now),
                Said::Close(reason) => prop_assert_eq!(life.close(now, reason), model.close(now, reason)),
                Said::Finish(reason, close, cut) => {
                    life.finish(Finish { reason, close_at: plus(now, close), cut_off_at: plus(now, cut) });
                    if model.is_open() {
                        model.history.push((now, step));
                    }
                }
                Said::CaughtUp => {
                    let reason = model.finish().map(|(reason, ..)| reason).filter(|_| model.is_open());
                    prop_assert_eq!(life.caught_up(now), reason.is_some_and(|reason| model.close(now, reason)));
                }
                Said::Told => {
                    life.told();
                    if let (None, Some((reason, _))) = (model.ended, model.closing) {
                        model.ended = Some(End::Closed(reason));
                    }
                }
                Said::End(end) => {
                    prop_assert_eq!(life.end(end), model.ended.is_none());
                    model.ended = model.ended.or(Some(end));
                }
                Said::Withdrawn(reason) => {
                    prop_assert_eq!(access.withdraw(reason), model.withdrawn().is_none());
                    model.history.push((now, step));
                }
                Said::Expires(at) => {
                    access.hear(&Ok(Answer::GrantedUntil(Tick(at))), &POLICY);
                    model.history.push((now, step));
                }
                Said::Due | Said::Tried => {
                    let (is, should) = (life.due(now), model.due(now));
                    match is {
                        Due::Wait(until) => {
                            prop_assert!(matches!(should, None | Some(Due::Wait(_))), "{:?}", should);
                            prop_assert!(until > now, "it waits for something to come");
                            prop_assert_eq!(until, life.next());
                        }
                        due => prop_assert_eq!(Some(due), should),
                    }
                }
            }
            if matches!(step, Said::Wrote { .. } | Said::Stalled | Said::HasRoom | Said::Skipped) {
                model.history.push((now, step));
            }
            prop_assert_eq!(life.ended(), model.ended);
            let closing = model.closing.map(|(reason, _)| reason).filter(|_| model.ended.is_none());
            prop_assert_eq!(life.closing(), closing);
            prop_assert!(before.is_none() || life.ended() == before, "it ends once");
        }
        // Whatever was said: asked at its own instants, it comes to an end if it has one.
        if life.ended().is_none() && model.finish().is_some() {
            for _ in 0..1000 {
                let next = life.next();
                if life.ended().is_some() || !next.is_set() {
                    break;
                }
                if life.due(next.max(now)) == Due::Heartbeat {
                    life.wrote(next.max(now), false);
                }
                now = next.max(now);
            }
            prop_assert!(life.ended().is_some(), "it is closed at its time and cut off after its grace");
        }
    }
}
