//! The new events of a session as one run of bytes, made once per pass for all sockets whose cursor is at its
//! beginning.
//!
//! A single event is written from its frame; several are copied side by side, so that each socket costs one
//! plain `send` however many events there are.

use watertight_core::log::ReadLimit;
use watertight_core::{Cursor, Frame, GapReason, Piece, Session, Tick};
use watertight_wire::Encoder;

use super::conn::Rest;
use super::framing::Framing;

/// What one batch of a pump's holds at most (a single larger event is a batch of its own). The bytes are also what the
/// scratch space of a shard can grow to.
pub(super) const BATCH: ReadLimit = ReadLimit { events: 1024, bytes: 256 * 1024 };

#[derive(Debug)]
struct Part {
    /// Cursor after this part.
    next: u64,
    frame: Frame,
    is_event: bool,
}

/// The parts side by side in one framing.
#[derive(Debug, Default)]
struct Run {
    /// Where each part ends.
    ends: Vec<usize>,
    /// Of several parts; a single one is written from its frame.
    bytes: Vec<u8>,
}

impl Run {
    fn lay_out(&mut self, parts: &[Part], framing: Framing) {
        let single = parts.len() == 1;
        let mut end = 0;
        for part in parts {
            let bytes = framing.bytes(&part.frame);
            end += bytes.len();
            self.ends.push(end);
            if !single {
                self.bytes.extend_from_slice(bytes);
            }
        }
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
    }

    /// Where part `index` begins.
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }
}

/// What a socket that took only part of its run is left with.
#[derive(Debug)]
pub(super) struct Settled {
    /// Its cursor.
    pub(super) next: u64,
    /// A frame of which this much was written.
    pub(super) rest: Option<Rest>,
    /// Events that were taken, the torn one included.
    pub(super) events: u64,
}

/// The news of one session.
#[derive(Debug, Default)]
pub(super) struct Batch {
    from: u64,
    upto: u64,
    /// The session ended with what is in here.
    pub(super) is_last: bool,
    parts: Vec<Part>,
    gaps: Vec<GapReason>,
    chunked: Run,
    /// Made for the first socket that wants it.
    plain: Run,
}

impl Batch {
    /// Loads what follows event `from` (exclusive of `before`, if given), up to `limit`, or one larger event.
    pub(super) fn load(
        &mut self,
        session: &Session,
        (from, before): (u64, Option<u64>),
        limit: ReadLimit,
        now: Tick,
        encoder: &mut Encoder,
    ) {
        self.clear();
        let most = before.map_or(u64::MAX, |before| before.saturating_sub(from));
        let events = limit.events.min(usize::try_from(most).unwrap_or(usize::MAX));
        let mut cursor = Cursor { next: from, live: true };
        self.is_last = session.with_log(|log| {
            let limit = ReadLimit { events, ..limit };
            log.read(&mut cursor, now, limit, |piece| {
                let (next, frame, is_event) = match piece {
                    Piece::Event(sequence, frame) => (sequence + 1, frame, true),
                    Piece::Gap(gap) => {
                        self.gaps.push(gap.reason);
                        (gap.to.sequence + 1, super::drain::gap_frame(encoder, &gap), false)
                    }
                };
                self.parts.push(Part { next, frame, is_event });
            });
            log.ended() && cursor.next == log.next()
        });
        self.from = from;
        self.upto = cursor.next;
        self.chunked.lay_out(&self.parts, Framing::Chunked);
    }

    /// How long its run is, bytes.
    pub(super) fn len(&self) -> usize {
        self.chunked.ends.last().copied().unwrap_or(0)
    }

    /// The reasons of the gaps that were loaded.
    pub(super) fn gaps(&self) -> &[GapReason] {
        &self.gaps
    }

    /// The events that were loaded.
    pub(super) fn events(&self) -> impl Iterator<Item = &Frame> + Clone {
        self.parts.iter().filter(|part| part.is_event).map(|part| &part.frame)
    }

    /// Forgets the frames; keeps the scratch space.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.gaps.clear();
        self.chunked.clear();
        self.plain.clear();
        self.from = 0;
        self.upto = 0;
        self.is_last = false;
    }

    fn run(&self, framing: Framing) -> &Run {
        match framing {
            Framing::Chunked => &self.chunked,
            Framing::Plain => &self.plain,
        }
    }

    /// Makes the run of a framing, if it is not there yet.
    pub(super) fn prepare(&mut self, framing: Framing) {
        if framing == Framing::Plain && self.plain.ends.len() < self.parts.len() {
            self.plain.lay_out(&self.parts, framing);
        }
    }

    /// The cursor after all of it.
    pub(super) fn upto(&self) -> u64 {
        self.upto
    }

    /// Index of the first part for a cursor.
    fn index_of(&self, next: u64) -> usize {
        if next == self.from { 0 } else { self.parts.partition_point(|part| part.next <= next) }
    }

    /// The bytes for a socket whose cursor stands at `next`, and how many events they are. `None`: its cursor
    /// is older than this batch, or inside a gap of it, so it needs other bytes than the rest.
    pub(super) fn run_for(&self, next: u64, framing: Framing) -> Option<(&[u8], u64)> {
        if next < self.from {
            return None;
        }
        let index = self.index_of(next);
        let begins = index.checked_sub(1).map_or(self.from, |before| self.parts[before].next);
        let begins_with_gap = self.parts.get(index).is_some_and(|part| !part.is_event);
        if begins_with_gap && begins != next {
            return None;
        }
        let run = self.run(framing);
        let events = self.parts[index..].iter().filter(|part| part.is_event).count() as u64;
        match self.parts.as_slice() {
            [only] if index == 0 => Some((framing.bytes(&only.frame), events)),
            [_] => Some((&[], 0)),
            _ => Some((&run.bytes[run.start(index)..], events)),
        }
    }

    /// What is left of a socket that stood at `next` and took `wrote` bytes of its run.
    pub(super) fn settle(&self, next: u64, wrote: usize, framing: Framing) -> Settled {
        let (first, run) = (self.index_of(next), self.run(framing));
        let reached = run.start(first) + wrote;
        let mut settled = Settled { next, rest: None, events: 0 };
        for (index, part) in self.parts.iter().enumerate().skip(first) {
            let (begin, end) = (run.start(index), run.ends[index]);
            if begin >= reached {
                break;
            }
            settled.next = part.next;
            settled.events += u64::from(part.is_event);
            if reached < end {
                settled.rest = Some(Rest::Frame(part.frame.clone(), reached - begin));
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use watertight_core::{Budget, Epoch, Kind, Ledger, Log, LogLimits, Owner, Session, SessionName, Tick};
    use watertight_wire::{Encoder, EventType};

    use super::{BATCH, Batch, Framing, Rest};
    use crate::hub::id_of;

    /// A session that keeps three events, of which `published` were published.
    fn session(published: u64) -> std::sync::Arc<Session> {
        let limits = LogLimits { max_queue_size: 3, max_history: 3, max_bytes: 1 << 20 };
        let log = Log::new(Epoch::from_bits(7), limits);
        let entry = Ledger::new().open(Kind::Session);
        let permit = Budget::new(1 << 20, 1 << 21).charge(Owner::Sessions, 1);
        let name = SessionName::new("s", 8).unwrap();
        let session = Session::new(name, log, 1, Tick::ZERO, entry, permit);
        let mut encoder = Encoder::new();
        for number in 1..=published {
            session.with_log(|log| {
                let text = log.position(log.next()).text();
                let draft = encoder.event(&EventType::default(), &number.to_string());
                log.append(super::Frame::new(draft.finish(id_of(&text)), None), Tick::NEVER)
            });
        }
        session
    }

    fn loaded(session: &Session, from: u64) -> Batch {
        let mut batch = Batch::default();
        batch.load(session, (from, None), BATCH, Tick::ZERO, &mut Encoder::new());
        batch
    }

    fn text(run: Option<(&[u8], u64)>) -> Option<String> {
        run.map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_run_begins_where_the_cursor_stands() {
        let batch = loaded(&session(3), 1);
        assert!(text(batch.run_for(1, Framing::Chunked)).unwrap().contains("data: 1\n"));
        let later = text(batch.run_for(3, Framing::Chunked)).unwrap();
        assert!(later.contains("data: 3\n") && !later.contains("data: 2\n"));
        assert_eq!(text(batch.run_for(4, Framing::Chunked)).unwrap(), "");
        assert_eq!(text(batch.run_for(0, Framing::Chunked)), None);
    }

    #[test]
    fn a_gap_is_given_only_to_those_who_missed_just_that() {
        let batch = loaded(&session(10), 1);
        let run = text(batch.run_for(1, Framing::Chunked)).unwrap();
        assert!(run.contains("\"missed\":7,\"reason\":\"lagged\"") && run.contains("data: 8\n"));
        assert_eq!(
            text(batch.run_for(5, Framing::Chunked)),
            None,
            "it was told of events 1 to 4: the gap is not its own"
        );
        let behind = text(batch.run_for(8, Framing::Chunked)).unwrap();
        assert!(behind.contains("data: 8\n") && !behind.contains("event: gap"));
    }

    #[test]
    fn a_run_that_was_cut_anywhere_is_settled_to_the_byte_in_either_framing() {
        for (framing, published) in [(Framing::Chunked, 3), (Framing::Plain, 3), (Framing::Plain, 1)] {
            let mut batch = loaded(&session(published), 1);
            batch.prepare(framing);
            let first = published.min(2);
            let (run, _) = batch.run_for(first, framing).unwrap();
            let run = run.to_vec();
            assert_eq!(run.starts_with(b"id: "), framing == Framing::Plain);
            for wrote in 0..=run.len() {
                let settled = batch.settle(first, wrote, framing);
                let rest = settled.rest.as_ref().map_or(&[][..], |rest| match rest {
                    Rest::Frame(frame, at) => &framing.bytes(frame)[*at..],
                    Rest::Bytes(..) => panic!("an event's rest is its frame"),
                });
                let (after, _) = batch.run_for(settled.next, framing).unwrap();
                assert_eq!([&run[..wrote], rest, after].concat(), run, "cut after {wrote} bytes");
            }
        }
    }
}
