//! What the models are made of: a session, a reader that counts, a bell that keeps a ring until somebody waits for it.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::{Condvar, Mutex};
use watertight_core::log::ReadLimit;
use watertight_core::{
    Budget, Cursor, Epoch, Frame, Kind, Ledger, Log, LogLimits, Owner, Piece, Session, SessionName, Tick,
};

/// Runs `model` in every order with up to `preemptions` switches that a thread did not ask for.
pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// The ledger and the budget of one run. They balance when everything else is dropped.
#[derive(Clone)]
pub(crate) struct Accounting {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
}

impl Accounting {
    pub(crate) fn new() -> Accounting {
        Accounting { ledger: Ledger::new(), budget: Budget::new(1 << 20, 1 << 20) }
    }

    pub(crate) fn session(&self, name: &SessionName, epoch: u64, events: usize) -> Arc<Session> {
        let limits = LogLimits { max_queue_size: events, max_history: events, max_bytes: usize::MAX };
        let log = Log::new(Epoch::from_bits(epoch), limits);
        let entry = self.ledger.open(Kind::Session);
        let permit = self.budget.charge(Owner::Sessions, 1);
        Session::new(name.clone(), log, 1, Tick::ZERO, entry, permit)
    }

    pub(crate) fn assert_balanced(&self) {
        assert_eq!(self.ledger.live(Kind::Session), 0);
        assert_eq!(self.budget.used(), 0);
        assert_eq!(self.budget.used_by(Owner::Frames) + self.budget.used_by(Owner::Sessions), 0);
    }
}

pub(crate) fn named(name: &str) -> SessionName {
    SessionName::new(name, 16).unwrap()
}

/// A session of `events` that nobody else knows.
pub(crate) fn session(events: usize) -> (Accounting, Arc<Session>) {
    let accounting = Accounting::new();
    let session = accounting.session(&named("a"), 1, events);
    (accounting, session)
}

pub(crate) fn append(log: &mut Log) {
    log.append(Frame::new(b"0\r\n\r\n", None), Tick::NEVER);
}

/// A reader that checks that it is told of every number once and in order.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) cursor: Cursor,
    pub(crate) events: u64,
    pub(crate) missed: u64,
}

impl Reader {
    pub(crate) fn at(cursor: Cursor) -> Reader {
        Reader { cursor, events: 0, missed: 0 }
    }

    /// One that waits for the first event.
    pub(crate) fn new() -> Reader {
        Reader::at(Cursor { next: 1, live: true })
    }

    pub(crate) fn read(&mut self, log: &Log) {
        let mut expects_next = self.cursor.next;
        let limit = ReadLimit { events: usize::MAX, bytes: usize::MAX };
        let (events, missed) = (&mut self.events, &mut self.missed);
        log.read(&mut self.cursor, Tick::ZERO, limit, |piece| match piece {
            Piece::Event(number, _) => {
                assert_eq!(number, expects_next, "skipped or doubled");
                expects_next += 1;
                *events += 1;
            }
            Piece::Gap(gap) => {
                assert_eq!(gap.from.map(|from| from.sequence), Some(expects_next), "skipped or doubled");
                *missed += gap.missed.unwrap();
                expects_next = gap.to.sequence + 1;
            }
        });
        assert_eq!(self.cursor.next, expects_next);
    }
}

/// A wake-up that is not lost when it comes before the sleep, as an eventfd's is not.
pub(crate) struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

impl Bell {
    pub(crate) fn new() -> Arc<Bell> {
        Arc::new(Bell { rung: Mutex::new(false), condition: Condvar::new() })
    }

    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.condition.notify_one();
    }

    /// Sleeps until it rings. If it never does, the checker reports a deadlock.
    pub(crate) fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.condition.wait(rung).unwrap();
        }
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
