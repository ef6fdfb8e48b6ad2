//! The log against its model: random lives of a log, with readers that come, read, leave and come back.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod model;
mod support;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watertight_core::log::{Cursor, LogLimits, ReadLimit, Resume};
use watertight_core::{Epoch, EventCount, Expiry, Log, Position, SessionEnd, Tick};

use crate::model::Model;
use crate::support::{Told, cases, epoch, frame_with, read, read_all};

#[derive(Debug, Clone)]
enum Step {
    Append { data_bytes: usize, ttl_ms: Option<u64>, is_own: bool },
    Pass { ms: u64 },
    Expire { spare_readers: bool },
    ShedBefore { back: u64 },
    Shed { bytes: usize, back: u64 },
    HasRoom { back: u64, events: usize, bytes: usize },
    Subscribe { ask: Ask, replay: bool },
    Read { reader: usize, events: usize, bytes: usize },
    Reconnect { reader: usize, replay: bool },
    End,
    Retire,
}

/// What a newcomer asks for, seen from the log's end.
#[derive(Debug, Clone)]
enum Ask {
    Live,
    All,
    Last(u64),
    Behind(u64),
    Ahead(u64),
    Start,
    Foreign(u64, u64),
    Unknown,
}

impl Ask {
    fn resume(&self, log: &Log) -> Resume {
        let here = |sequence| Resume::After(log.position(sequence));
        match *self {
            Ask::Live => Resume::Live,
            Ask::All => Resume::All,
            Ask::Last(count) => Resume::Last(count),
            Ask::Behind(back) => here((log.next() - 1).saturating_sub(back)),
            Ask::Ahead(by) => here(log.next().saturating_add(by)),
            Ask::Start => here(0),
            Ask::Foreign(bits, sequence) => {
                Resume::After(Position { epoch: Epoch::from_bits(bits), sequence })
            }
            Ask::Unknown => Resume::Unknown,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let ttl = prop_oneof![Just(None), (0u64..50).prop_map(Some), Just(Some(u64::MAX))];
    let data = prop_oneof![9 => 0usize..40, 1 => 40usize..400];
    let bytes = prop_oneof![Just(usize::MAX), 0usize..600];
    prop_oneof![
        8 => (data, ttl, any::<bool>())
            .prop_map(|(data_bytes, ttl_ms, is_own)| Step::Append { data_bytes, ttl_ms, is_own }),
        3 => (0u64..40).prop_map(|ms| Step::Pass { ms }),
        2 => any::<bool>().prop_map(|spare_readers| Step::Expire { spare_readers }),
        1 => (0u64..8).prop_map(|back| Step::ShedBefore { back }),
        1 => (0usize..500, 0u64..8).prop_map(|(bytes, back)| Step::Shed { bytes, back }),
        1 => (0u64..12, 1usize..6, 0usize..2000)
            .prop_map(|(back, events, bytes)| Step::HasRoom { back, events, bytes }),
        3 => (ask(), prop::bool::weighted(0.8)).prop_map(|(ask, replay)| Step::Subscribe { ask, replay }),
        6 => (any::<usize>(), 1usize..6, bytes)
            .prop_map(|(reader, events, bytes)| Step::Read { reader, events, bytes }),
        1 => (any::<usize>(), any::<bool>())
            .prop_map(|(reader, replay)| Step::Reconnect { reader, replay }),
        1 => (0u8..20).prop_map(|draw| match draw {
            0 => Step::End,
            1 => Step::Retire,
            _ => Step::Expire { spare_readers: true },
        }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let foreign = (any::<u64>(), 0u64..1 << 53);
    prop_oneof![
        Just(Ask::Live),
        Just(Ask::All),
        (0u64..12).prop_map(Ask::Last),
        Just(Ask::Last(u64::MAX)),
        (0u64..16).prop_map(Ask::Behind),
        prop_oneof![0u64..3, Just(1 << 52)].prop_map(Ask::Ahead),
        Just(Ask::Start),
        foreign.prop_map(|(bits, sequence)| Ask::Foreign(bits, sequence)),
        Just(Ask::Unknown),
    ]
}

fn log_limits() -> impl Strategy<Value = LogLimits> {
    let max_bytes = prop_oneof![2 => Just(usize::MAX), 1 => 1usize..2000];
    (1usize..10, 0usize..10, max_bytes).prop_map(|(max_queue_size, max_history, max_bytes)| LogLimits {
        max_queue_size,
        max_history,
        max_bytes,
    })
}

/// A reader, and the number that it must be told of next.
#[derive(Debug)]
struct Reader {
    cursor: Cursor,
    expects_next: u64,
}

impl Reader {
    /// Each number once, in order, as an event or inside a gap.
    fn is_told(&mut self, told: &[Told]) {
        for piece in told {
            let (from, to) = match piece {
                Told::Event(number) => (*number, *number),
                Told::Gap(gap) => (gap.from.unwrap().sequence, gap.to.sequence),
            };
            assert_eq!(from, self.expects_next, "skipped or doubled by {piece:?}");
            assert!(from <= to, "an empty gap: {piece:?}");
            if let Told::Gap(gap) = piece {
                assert_eq!(gap.missed, Some(to - from + 1), "{gap:?}");
            }
            self.expects_next = to + 1;
        }
        assert_eq!(self.cursor.next, self.expects_next, "the cursor stands after what was told");
    }
}

/// A log, its model and their readers.
struct Pair {
    log: Log,
    model: Model,
    now: Tick,
    readers: Vec<Reader>,
    count: Arc<EventCount>,
}

impl Pair {
    fn new(limits: LogLimits) -> Pair {
        let count = Arc::new(EventCount::default());
        let log = Log::new(epoch(), limits).counted_in(Arc::clone(&count));
        Pair { log, model: Model::new(epoch(), limits), now: Tick::ZERO, readers: Vec::new(), count }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { data_bytes, ttl_ms, is_own } => self.append(*data_bytes, *ttl_ms, *is_own),
            Step::Pass { ms } => self.now = Tick(self.now.0 + ms),
            Step::Expire { spare_readers } => {
                let needed = self.readers.iter().map(|reader| reader.expects_next).min();
                let needed = needed.filter(|_| *spare_readers).unwrap_or(u64::MAX);
                assert_eq!(self.log.expire(self.now, needed), self.model.expire(self.now, needed));
            }
            Step::ShedBefore { back } => {
                let number = self.log.next().saturating_sub(*back);
                assert_eq!(self.log.shed_before(number), self.model.shed_before(number));
            }
            Step::Shed { bytes, back } => {
                let needed = self.log.next().saturating_sub(*back);
                assert_eq!(self.log.shed(*bytes, needed), self.model.shed(*bytes, needed));
            }
            Step::HasRoom { back, events, bytes } => {
                let sequence = self.log.next().saturating_sub(*back).max(1);
                let room = self.log.has_room_behind(sequence, *events, *bytes);
                assert_eq!(room, self.model.has_room_behind(sequence, *events, *bytes));
            }
            Step::Subscribe { ask, replay } => self.subscribe(ask.resume(&self.log), *replay),
            Step::Read { reader, events, bytes } => self.read(*reader, *events, *bytes),
            Step::Reconnect { reader, replay } => self.reconnect(*reader, *replay),
            Step::End => assert_eq!(self.log.end(self.end()), self.model.end(self.now)),
            Step::Retire => assert_eq!(self.log.retire(), self.model.retire()),
        }
        self.compare();
    }

    fn end(&self) -> SessionEnd {
        SessionEnd { at: self.now, ended_at: Duration::ZERO, keep: Duration::from_secs(1) }
    }

    fn append(&mut self, data_bytes: usize, ttl_ms: Option<u64>, is_own: bool) {
        if self.log.ended() {
            return;
        }
        let frame = frame_with(&self.log, &"x".repeat(data_bytes));
        let expires = ttl_ms.map_or(Tick::NEVER, |ms| Tick(self.now.0.saturating_add(ms)));
        let freed = self.model.append(frame.chunk().len(), (expires, is_own));
        let expires = if is_own { Expiry::own(expires) } else { Expiry::default_at(expires) };
        assert_eq!(self.log.append(frame, expires), freed);
    }

    fn subscribe(&mut self, resume: Resume, replay: bool) {
        let (cursor, gaps) = self.log.locate(resume, replay, self.now);
        let expected = self.model.locate(resume, replay, self.now);
        assert_eq!((cursor, &gaps), (expected.0, &expected.1), "{resume:?}");
        let (replayable, before) = self.log.replayable(self.now);
        let mut newcomer = Cursor { next: before.sequence + 1, live: false };
        let replayed = read_all(&self.log, &mut newcomer, self.now);
        let replayed = replayed.iter().filter(|told| matches!(told, Told::Event(_))).count();
        assert_eq!(replayed, replayable, "what is said to be there is there");
        if let Some(last) = gaps.last() {
            assert_eq!(last.to.sequence + 1, cursor.next, "the last gap ends where reading begins");
        }
        if let (Resume::After(id), Some(first)) = (resume, gaps.first())
            && first.missed.is_some()
        {
            assert_eq!(first.from.unwrap().sequence, id.sequence + 1, "a gap begins where the id ends");
        }
        for pair in gaps.windows(2) {
            assert_eq!(pair[0].to.sequence + 1, pair[1].from.unwrap().sequence, "without a hole: {gaps:?}");
            assert_ne!(pair[0].reason, pair[1].reason, "one gap for one reason: {gaps:?}");
        }
        self.readers.push(Reader { cursor, expects_next: cursor.next });
    }

    fn reconnect(&mut self, reader: usize, replay: bool) {
        if self.readers.is_empty() {
            return;
        }
        let reader = self.readers.swap_remove(reader % self.readers.len());
        let id = self.log.position(reader.expects_next - 1);
        self.subscribe(Resume::After(id), replay);
    }

    fn read(&mut self, reader: usize, events: usize, bytes: usize) {
        if self.readers.is_empty() {
            return;
        }
        let reader = reader % self.readers.len();
        let reader = &mut self.readers[reader];
        let mut twin = reader.cursor;
        let told = read(&self.log, &mut reader.cursor, self.now, events, bytes);
        assert_eq!(told, self.model.read(&mut twin, self.now, ReadLimit { events, bytes }));
        assert_eq!(reader.cursor, twin);
        reader.is_told(&told);
    }

    fn compare(&self) {
        let (log, model) = (&self.log, &self.model);
        assert_eq!((log.next(), log.ended()), (model.next(), model.ended()));
        assert_eq!((log.events(), log.bytes()), (model.kept_events(), model.kept_bytes()));
        assert_eq!(log.first(), model.oldest_kept().unwrap_or(model.next()));
        assert_eq!(self.count.get(), if log.is_retired() { 0 } else { log.events() }, "counted to the event");
        let limits = model.limits;
        let capacity = limits.max_queue_size.max(limits.max_history) as u64;
        assert!(log.next() - log.first() <= capacity, "bounded by count");
        assert!(log.bytes() <= limits.max_bytes || log.events() == 1, "bounded by bytes");
    }

    /// At last everybody reads to the end.
    fn finish(mut self) {
        for reader in &mut self.readers {
            let told = read_all(&self.log, &mut reader.cursor, self.now);
            reader.is_told(&told);
            assert_eq!(reader.expects_next, self.log.next(), "nothing is left untold");
            assert!(reader.cursor.live);
        }
        drop(self.log);
        assert_eq!(self.count.get(), 0, "a log that is gone holds nothing");
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_reader_gets_every_event_once_in_order_or_a_gap_before_anything_newer(
        limits in log_limits(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut pair = Pair::new(limits);
        for step in &steps {
            pair.take(step);
        }
        pair.finish();
    }
}
