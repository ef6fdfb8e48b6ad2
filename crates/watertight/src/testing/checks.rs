//! The checks themselves, each on a source made anew in a session of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use watertight_core::{CloseReason, Kind, Resume};

use super::check_hub::{CheckHub, LINGER};
use super::promise::{BrokenPromise, Promise};
use super::reader::Reader;
use super::watched::{Fault, FirstRun, Runs, Watched};
use super::{Around, Made};
use crate::error::SubscribeError;
use crate::event::Event;
use crate::hub::{EndOptions, SubscribeOptions};
use crate::source::{Source, SourceHandle};

/// Awaits at which a source is dropped, at most, before it has fed an event.
const POLLS_MAX: usize = 200;
/// Awaits at which it is dropped once it has fed an event by then: what it notes of that, it may note late.
const ROUNDS_WITH_EVENTS: u64 = 3;
/// How long a source has before it is stirred again: what came too early for it may be lost.
const STIR_AGAIN: Duration = Duration::from_millis(100);
/// How far the hub's clock is moved at each look, where time is to pass.
const TICK: Duration = Duration::from_millis(100);

type Kept = Result<(), BrokenPromise>;

/// The checks of one source.
struct Checks<S> {
    make: Made<S>,
    around: Around,
    hub: CheckHub,
    sessions: u32,
}

/// A session with a source of its own.
struct Fed {
    name: String,
    source: SourceHandle,
    runs: Arc<Runs>,
}

/// Runs all checks.
pub(super) fn all<S: Source>(make: Made<S>, around: Around, given_up: Arc<AtomicBool>) -> Kept {
    let hub = CheckHub::new(around.patience, given_up);
    let hub = hub.map_err(|error| BrokenPromise::new(Promise::Feeds, format!("no hub: {error}")))?;
    let mut checks = Checks { make, around, hub, sessions: 0 };
    checks.is_started_shared_and_stopped()?;
    checks.ends_with_its_session()?;
    checks.is_dropped_at_every_await()?;
    checks.fails_and_runs_again(Fault::Error)?;
    checks.fails_and_runs_again(Fault::Panic)?;
    checks.is_broken_and_mended()?;
    match checks.hub.left() {
        None => checks.has_left(0, "after all checks"),
        Some(what) => Err(BrokenPromise::new(Promise::LeavesNothing, what)),
    }
}

impl<S: Source> Checks<S> {
    fn is_started_shared_and_stopped(&mut self) -> Kept {
        let early = |what: &str| Err(BrokenPromise::new(Promise::StartsWithItsFirstSubscriber, what));
        let fed = self.made(FirstRun::Whole);
        if !self.hub.eventually(|| (self.around.has_left)()) {
            return early("something of it is open although nobody has subscribed yet");
        }
        if self.hub.tasks() > 0 {
            return early("making it has spawned a task");
        }
        let mut first = self.subscriber(&fed)?;
        if !self.hub.eventually(|| fed.runs.started() == 1) {
            return early("it was not run, although there is a subscriber");
        }
        self.feeds(&fed, &mut [&mut first], Promise::Feeds)?;
        let mut second = self.subscriber(&fed)?;
        for _ in 0..5 {
            self.feeds(&fed, &mut [&mut first, &mut second], Promise::IsShared)?;
        }
        let same = self.hub.eventually(|| {
            first.read();
            second.read();
            first.has_read_the_same(&second)
        });
        if !same {
            let seen = format!("one has read {:?}, the other {:?}", first.last(), second.last());
            return Err(BrokenPromise::new(Promise::IsShared, seen));
        }
        let runs = (fed.runs.started(), self.hub.hub.ledger().live(Kind::Source));
        if runs != (1, 1) {
            let seen = format!("for two subscribers it was run {} times, {} runs are open", runs.0, runs.1);
            return Err(BrokenPromise::new(Promise::IsShared, seen));
        }
        drop((first, second));
        self.stops(&fed, "after its last subscriber has left")
    }

    fn ends_with_its_session(&mut self) -> Kept {
        let fed = self.made(FirstRun::Whole);
        let mut reader = self.subscriber(&fed)?;
        self.feeds(&fed, &mut [&mut reader], Promise::Feeds)?;
        let broken = |seen: &str| BrokenPromise::new(Promise::EndsWithItsSession, seen);
        let ended = self.hub.hub.end_session(&fed.name, &EndOptions::default());
        ended.map_err(|error| broken(&format!("its session cannot be ended: {error}")))?;
        // The hub's clock stands still: no linger passes.
        if !self.hub.eventually(|| fed.runs.running() == 0) {
            return Err(broken("its session has ended, and it goes on"));
        }
        self.has_left(0, "after its session was ended")?;
        let told = self.hub.eventually(|| {
            reader.read();
            reader.closed() == Some(CloseReason::SessionEnded)
        });
        if told { Ok(()) } else { Err(broken("its session has ended, and a reader was not told")) }
    }

    fn is_dropped_at_every_await(&mut self) -> Kept {
        let mut rounds_with_events = 0;
        for polls in 0..=POLLS_MAX {
            let fed = self.made(FirstRun::DroppedAfter { polls });
            let reader = self.subscriber(&fed)?;
            let was_dropped = self.stirred_until(|| fed.runs.was_dropped());
            let had_fed = self.head(&fed) > 1;
            if !was_dropped {
                if had_fed && fed.runs.running() == 1 {
                    // It waits for more to say, and would not be polled again.
                    drop(reader);
                    return self.stops(&fed, "after its last subscriber has left");
                }
                let seen = format!("it was not polled {polls} times{}", self.state(&fed));
                return Err(BrokenPromise::new(Promise::Feeds, seen));
            }
            // The source itself still lives: what it remembers in `self` is its own.
            self.has_left(1, &format!("after it was dropped when it had been polled {polls} times"))?;
            // It remembers what it has read: a source that forgets how far it had come says it again.
            let before = reader.left();
            self.stops(&fed, "after its last subscriber has left")?;
            let mut reader = self.subscriber(&fed)?.after(before);
            self.feeds(&fed, &mut [&mut reader], Promise::RunsAgain).map_err(|broken| {
                after(broken, &format!("it was dropped when it had been polled {polls} times"))
            })?;
            drop(reader);
            self.stops(&fed, "after it was run again")?;
            self.hub.hub.forget_session(&fed.name);
            rounds_with_events += u64::from(had_fed);
            if rounds_with_events == ROUNDS_WITH_EVENTS {
                break;
            }
        }
        Ok(())
    }

    fn fails_and_runs_again(&mut self, fault: Fault) -> Kept {
        let fed = self.made(FirstRun::Whole);
        let mut reader = self.subscriber(&fed)?;
        self.feeds(&fed, &mut [&mut reader], Promise::Feeds)?;
        fed.runs.inject(fault);
        let is_run_again = self.hub.eventually(|| {
            self.hub.hub.advance(TICK);
            fed.runs.started() >= 2
        });
        let what = if fault == Fault::Panic { "a panic in it" } else { "an error of it" };
        if !is_run_again {
            let seen = format!("it was not tried again after {what}{}", self.state(&fed));
            return Err(BrokenPromise::new(Promise::RunsAgain, seen));
        }
        self.feeds(&fed, &mut [&mut reader], Promise::RunsAgain).map_err(|broken| after(broken, what))?;
        self.others_are_served(what)?;
        drop(reader);
        self.stops(&fed, "after it had failed and was run again")
    }

    /// The hub goes on for sessions that have nothing to do with it.
    fn others_are_served(&self, what: &str) -> Kept {
        let broken = |seen: String| BrokenPromise::new(Promise::RunsAgain, format!("{seen} after {what}"));
        let other = self.hub.hub.subscribe("other", Resume::Live);
        let mut other =
            Reader::new(other.map_err(|error| broken(format!("the hub refuses others ({error})")))?);
        let hub = self.hub.hub.clone();
        let published = futures_util::FutureExt::now_or_never(hub.publish("other", Event::new("x")));
        let is_read = self.hub.eventually(|| {
            other.read();
            other.events() == 1
        });
        if is_read { Ok(()) } else { Err(broken(format!("the hub serves no other session ({published:?})"))) }
    }

    fn is_broken_and_mended(&mut self) -> Kept {
        let Some(mut breaks) = self.around.breaks.take() else { return Ok(()) };
        let fed = self.made(FirstRun::Whole);
        let mut reader = self.subscriber(&fed)?;
        self.feeds(&fed, &mut [&mut reader], Promise::Feeds)?;
        breaks(true);
        let is_told = self.hub.eventually(|| {
            self.hub.hub.advance(TICK);
            reader.read();
            reader.closed().is_some() || self.waits(&fed)
        });
        let seen = self.state(&fed);
        breaks(false);
        if !is_told {
            let seen = format!("what it feeds from is broken, and its readers are told nothing{seen}");
            return Err(BrokenPromise::new(Promise::TellsWhenBroken, seen));
        }
        if let Some(reason) = reader.closed().filter(|reason| *reason != CloseReason::CircuitOpen) {
            let seen = format!("its readers were closed with {reason:?} when it was broken");
            return Err(BrokenPromise::new(Promise::TellsWhenBroken, seen));
        }
        if !self.comes_back(&fed, reader)? {
            let seen = format!("no event has come since{}", self.state(&fed));
            return Err(BrokenPromise::new(Promise::ComesBack, seen));
        }
        self.stops(&fed, "after it was broken and mended")
    }

    /// Reads on, or anew if it was closed, until an event comes.
    fn comes_back(&mut self, fed: &Fed, reader: Reader) -> Result<bool, BrokenPromise> {
        let mut before = reader.events();
        let mut reader = Some(reader);
        for _ in 0..self.rounds() {
            if reader.as_ref().is_none_or(|reader| reader.closed().is_some()) {
                // Its breaker keeps newcomers out for a while.
                self.hub.hub.advance(Duration::from_secs(1));
                reader = self.try_subscribe(fed)?;
                before = 0;
            }
            self.around.stir();
            let (hub, reader) = (&self.hub, &mut reader);
            let came = hub.within(STIR_AGAIN, || {
                hub.hub.advance(TICK);
                reader.as_mut().is_none_or(|reader| {
                    reader.read();
                    reader.closed().is_some() || reader.events() > before
                })
            });
            if came && reader.as_ref().is_some_and(|reader| reader.events() > before) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What all checks are made of.
impl<S: Source> Checks<S> {
    /// A session of its own, and a source for it made anew.
    fn made(&mut self, first_run: FirstRun) -> Fed {
        self.sessions += 1;
        let (source, runs) = self.hub.on_runtime(|| Watched::new((self.make)(), first_run));
        Fed { name: format!("check-{}", self.sessions), source: SourceHandle::new(source), runs }
    }

    fn subscriber(&self, fed: &Fed) -> Result<Reader, BrokenPromise> {
        let reader = self.try_subscribe(fed)?;
        let refused = || format!("a newcomer is refused{}", self.state(fed));
        reader.ok_or_else(|| BrokenPromise::new(Promise::RunsAgain, refused()))
    }

    /// `None`: its breaker is open.
    fn try_subscribe(&self, fed: &Fed) -> Result<Option<Reader>, BrokenPromise> {
        let options = SubscribeOptions { source: Some(fed.source.clone()), ..SubscribeOptions::default() };
        let subscribe = || self.hub.hub.subscribe_with(&fed.name, Resume::Live, options);
        match self.hub.on_runtime(subscribe) {
            Ok(stream) => Ok(Some(Reader::new(stream))),
            Err(SubscribeError::SourceBroken { .. }) => Ok(None),
            Err(error) => Err(BrokenPromise::new(Promise::Feeds, format!("the hub refuses: {error}"))),
        }
    }

    /// Stirs until every reader has got another event.
    fn feeds(&mut self, fed: &Fed, readers: &mut [&mut Reader], promise: Promise) -> Kept {
        let before: Vec<_> = readers.iter().map(|reader| reader.events()).collect();
        let all_have = self.stirred_until(|| {
            readers.iter_mut().for_each(|reader| reader.read());
            readers.iter().zip(&before).all(|(reader, before)| reader.events() > *before)
        });
        let doubled = readers.iter().find_map(|reader| reader.doubled());
        if let Some(text) = doubled.filter(|_| self.around.says_once) {
            let seen = format!("an event has come twice: {text:?}");
            return Err(BrokenPromise::new(Promise::SaysEverythingOnce, seen));
        }
        if all_have {
            return Ok(());
        }
        let mut seen = format!("no event has come within {:?}", self.hub.patience());
        if let Some(reason) = readers.iter().find_map(|reader| reader.closed()) {
            seen = format!("its reader was closed with {reason:?}");
        }
        Err(BrokenPromise::new(promise, seen + &self.state(fed)))
    }

    /// Stirs again and again until `holds`.
    fn stirred_until(&mut self, mut holds: impl FnMut() -> bool) -> bool {
        (0..self.rounds()).any(|_| {
            self.around.stir();
            self.hub.within(STIR_AGAIN, &mut holds)
        })
    }

    fn rounds(&self) -> u128 {
        self.hub.patience().as_millis().div_ceil(STIR_AGAIN.as_millis()).max(1)
    }

    /// Nobody watches any more and the linger passes: it stops, and leaves nothing.
    fn stops(&self, fed: &Fed, when: &str) -> Kept {
        let has_stopped = self.hub.eventually(|| {
            self.hub.hub.advance(LINGER);
            fed.runs.running() == 0 && self.hub.hub.ledger().live(Kind::Source) == 0
        });
        if !has_stopped {
            let seen = format!(
                "it still runs {:?} {when}: does it hold up its thread instead of waiting?",
                self.hub.patience()
            );
            return Err(BrokenPromise::new(Promise::Stops, seen));
        }
        self.has_left(0, when)
    }

    /// Nothing of it is left: neither what `leaves` looks at, nor a task beside those that the hub runs for sources.
    fn has_left(&self, tasks: usize, when: &str) -> Kept {
        let left = |seen: String| Err(BrokenPromise::new(Promise::LeavesNothing, seen));
        if !self.hub.eventually(|| self.hub.tasks() <= tasks) {
            return left(format!("{} tasks that it spawned still run {when}", self.hub.tasks() - tasks));
        }
        if !self.hub.eventually(|| (self.around.has_left)()) {
            return left(format!("something of it is still there {when}"));
        }
        Ok(())
    }

    fn head(&self, fed: &Fed) -> u64 {
        self.hub.hub.session(&fed.name).map_or(1, |session| session.head())
    }

    fn waits(&self, fed: &Fed) -> bool {
        let session = self.hub.hub.session(&fed.name);
        session.is_some_and(|session| session.attached().is_some_and(|it| it.state().view().is_waiting))
    }

    /// How the hub sees it, for whoever reads what went wrong.
    fn state(&self, fed: &Fed) -> String {
        let session = self.hub.hub.session(&fed.name);
        let Some(info) = session.and_then(|session| Some(session.attached()?.state().info())) else {
            return String::new();
        };
        let why = info.why.map(|why| format!(": {why}")).unwrap_or_default();
        format!(" (the source is {}, {} errors{why})", info.phase.name(), info.errors)
    }
}

fn after(broken: BrokenPromise, what: &str) -> BrokenPromise {
    BrokenPromise { seen: format!("after {what}: {}", broken.seen), ..broken }
}
