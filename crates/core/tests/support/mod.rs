//! A ledger and a budget that must balance, frames with a number in them, and sessions made of both.
#![allow(dead_code, reason = "each test file uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::sync::Arc;

use proptest::prelude::ProptestConfig;
use watertight_core::registry::{Registry, ScanPoint};
use watertight_core::{
    Access, AccessKey, AccessRegistry, Budget, Cursor, Epoch, Frame, Gap, Grant, Kind, Ledger, Log,
    LogLimits, Owner, Piece, RegistryError, Session, SessionName, Tick,
};
use watertight_wire::{Encoder, EventId, EventType};

/// So many cases, and no file of past failures: a failing case is printed whole.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A limit that is in nobody's way.
pub(crate) const AMPLE: usize = 1 << 30;

/// Limits of count only.
pub(crate) fn limits(max_queue_size: usize, max_history: usize) -> LogLimits {
    LogLimits { max_queue_size, max_history, max_bytes: AMPLE }
}

pub(crate) fn epoch() -> Epoch {
    Epoch::from_bits(0x0abc_def0_1234_5678)
}

/// The event `number` of `log`, with `data` in it.
pub(crate) fn frame_with(log: &Log, data: &str) -> Frame {
    let id = log.position(log.next());
    let mut encoder = Encoder::new();
    let draft = encoder.event(&EventType::default(), data);
    Frame::new(draft.finish(EventId::new(id.text().as_str()).unwrap()), None)
}

/// Appends an event that names its own number and never expires.
pub(crate) fn append(log: &mut Log) {
    append_until(log, Tick::NEVER);
}

pub(crate) fn append_until(log: &mut Log, expires: Tick) {
    let frame = frame_with(log, &format!("event {}", log.next()));
    log.append(frame, expires);
}

pub(crate) fn log_of(events: u64, limits: LogLimits) -> Log {
    let mut log = Log::new(epoch(), limits);
    (0..events).for_each(|_| append(&mut log));
    log
}

/// What a reader was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Event(u64),
    Gap(Gap),
}

/// One read, with each event's content checked against its number.
pub(crate) fn read(log: &Log, cursor: &mut Cursor, now: Tick, events: usize, bytes: usize) -> Vec<Told> {
    let mut told = Vec::new();
    let limit = watertight_core::log::ReadLimit { events, bytes };
    log.read(cursor, now, limit, |piece| {
        told.push(match piece {
            Piece::Gap(gap) => Told::Gap(gap),
            Piece::Event(number, frame) => {
                let id = format!("id: {}\n", log.position(number));
                assert!(frame.event().starts_with(id.as_bytes()), "{frame:?} given as event {number}");
                Told::Event(number)
            }
        });
    });
    told
}

/// Everything there is for `cursor`.
pub(crate) fn read_all(log: &Log, cursor: &mut Cursor, now: Tick) -> Vec<Told> {
    read(log, cursor, now, usize::MAX, usize::MAX)
}

/// A ledger and a budget that must be back at nothing when the test ends. Make them first: they are dropped,
/// and looked at, last.
pub(crate) struct Accounting {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
}

impl Accounting {
    pub(crate) fn new() -> Accounting {
        Accounting { ledger: Ledger::new(), budget: Budget::new(AMPLE / 2, AMPLE) }
    }

    /// A session that no registry knows.
    pub(crate) fn session(&self, name: &str, limits: LogLimits, shards: usize) -> Arc<Session> {
        let log = Log::new(Epoch::random().unwrap(), limits);
        let entry = self.ledger.open(Kind::Session);
        let name = named(name);
        let permit = self.budget.charge(Owner::Sessions, Session::cost(&name, shards));
        Session::new(name, log, shards, Tick::ZERO, entry, permit)
    }

    /// The session of that name in `registry`, made if there is none.
    pub(crate) fn join(
        &self,
        registry: &Registry,
        name: &str,
        join: bool,
    ) -> Result<Arc<Session>, RegistryError> {
        let make = || Ok(self.session(name, limits(4, 4), 1));
        registry.get_or_create(&named(name), Tick::ZERO, join, make)
    }

    pub(crate) fn assert_balanced(&self) {
        for kind in Kind::ALL {
            let counts = self.ledger.counts(kind);
            assert_eq!(counts.opened, counts.closed, "{} still open", kind.name());
            assert_eq!(counts.live(), 0, "{} still live", kind.name());
        }
        for owner in Owner::ALL {
            assert_eq!(self.budget.used_by(owner), 0, "{} still charged", owner.name());
        }
        assert_eq!(self.budget.used(), 0, "bytes still charged");
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_balanced();
        }
    }
}

pub(crate) fn named(name: &str) -> SessionName {
    SessionName::new(name, 256).unwrap()
}

/// Takes every session out that nobody reads and `idle` lets go.
pub(crate) fn sweep(registry: &Registry, idle: impl Fn(&Session) -> bool) -> usize {
    let (mut next, mut sessions) = (Some(ScanPoint::default()), 0);
    while let Some(at) = next {
        let swept = registry.slice(at, &idle, |_| {});
        sessions += swept.sessions;
        next = swept.next;
    }
    sessions
}

/// A registry of rights with a ledger and a budget of its own.
pub(crate) struct Rights {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) registry: Arc<AccessRegistry>,
}

impl Rights {
    pub(crate) fn new(max_streams_per_user: Option<u32>) -> Rights {
        let (ledger, budget) = (Ledger::new(), Budget::new(AMPLE, AMPLE));
        let registry = AccessRegistry::new(Arc::clone(&budget), Arc::clone(&ledger), max_streams_per_user);
        Rights { ledger, budget, registry }
    }

    /// The right of this user, under this number.
    pub(crate) fn of(&self, user: &str, number: u8) -> Arc<Access> {
        let user = Some(Arc::from(user));
        self.grant(Grant { user, ..grant(number) })
    }

    /// A right that expires.
    pub(crate) fn until(&self, expires: Tick) -> Arc<Access> {
        self.grant(Grant { expires, ..grant(0) })
    }

    pub(crate) fn grant(&self, grant: Grant) -> Arc<Access> {
        self.registry.grant(grant).unwrap()
    }

    pub(crate) fn assert_balanced(&self) {
        assert_eq!(self.ledger.live(Kind::Access), 0);
        assert_eq!(self.budget.used_by(Owner::Access), 0);
        assert!(self.registry.is_empty());
    }
}

/// A right for whoever asks, for ever, which nobody asks about.
pub(crate) fn grant(number: u8) -> Grant {
    let key = AccessKey::new([number; 16]);
    Grant { key, user: None, expires: Tick::NEVER, question: None, ask_at: Tick::NEVER, bytes: 0 }
}
