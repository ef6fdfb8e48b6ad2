//! Writing on for one socket: its opening, its replay, what waited while it was full, its closing event.
//!
//! A ready socket gets a quantum at a time, so that thousands of sockets that replay at once take turns, and
//! each holds no more than the frame that it is writing.

use std::io::IoSlice;
use std::sync::atomic::Ordering;

use watertight_core::log::ReadLimit;
use watertight_core::{CloseReason, Cursor, End, Finish, Frame, Gap, Piece};
use watertight_wire::Encoder;

use super::conn::{Rest, Wrote};
use super::ending::end_of;
use super::run::Shard;

/// Bytes that one socket is given per turn.
const QUANTUM_BYTES: usize = 256 * 1024;
/// Events per system call: enough to fill a send buffer, few enough for one small array.
const RUN_EVENTS: usize = 64;
/// Bytes read from the log per system call.
const RUN_BYTES: usize = 128 * 1024;

/// What a turn left behind.
enum Turn {
    /// Caught up, or full: nothing to do until something happens.
    Rests,
    /// There is more to write and room for it.
    GoesOn,
    /// It is over.
    Ends(End),
}

/// A gap as a frame. It lives for one write and is not charged.
pub(super) fn gap_frame(encoder: &mut Encoder, gap: &Gap) -> Frame {
    Frame::new(crate::wire::gap_block(encoder, gap), None)
}

impl Shard {
    /// Gives up to `budget` ready sockets their turn.
    pub(super) fn drain_ready(&mut self, budget: usize) {
        for _ in 0..budget.min(self.sockets.ready_len()) {
            let Some(slot) = self.sockets.next_ready() else { break };
            match self.take_turn(slot) {
                Turn::Rests => self.arm(slot),
                Turn::GoesOn => self.sockets.make_ready(slot),
                Turn::Ends(end) => self.finish(slot, end),
            }
        }
    }

    fn take_turn(&mut self, slot: u32) -> Turn {
        let mut wrote_bytes = 0;
        while wrote_bytes < QUANTUM_BYTES {
            let Some(conn) = self.sockets.get_mut(slot) else { return Turn::Rests };
            if conn.blocked {
                return Turn::Rests;
            }
            if let Some(end) = conn.life().ended() {
                return Turn::Ends(end);
            }
            let step = if conn.has_rest() {
                conn.write_rest(self.now, &mut self.seal).map(Some).map_err(|error| end_of(&error))
            } else if let Some(reason) = conn.life().closing() {
                if conn.cold.has_closing_event {
                    conn.with_life(|life| life.told());
                    continue;
                }
                self.begin_closing_event(slot, reason);
                Ok(Some(0))
            } else {
                self.write_log(slot)
            };
            match step {
                Ok(Some(bytes)) => wrote_bytes += bytes,
                Ok(None) => return Turn::Rests,
                Err(end) => return Turn::Ends(end),
            }
        }
        Turn::GoesOn
    }

    /// Puts the closing event where it is written next.
    fn begin_closing_event(&mut self, slot: u32, reason: CloseReason) {
        let retry = self.hub.retry_hint();
        let Some(conn) = self.sockets.get_mut(slot) else { return };
        let event = crate::wire::closing_event(&mut self.encoder, reason, retry);
        let bytes = [conn.framing.block(event), conn.framing.end()].concat();
        conn.set_rest(Rest::Bytes(bytes.into(), 0));
        conn.cold.has_closing_event = true;
    }

    /// Writes what follows the socket's cursor. `None`: it has caught up.
    fn write_log(&mut self, slot: u32) -> Result<Option<usize>, End> {
        let now = self.now;
        let Some(conn) = self.sockets.get_mut(slot) else { return Ok(None) };
        let mut cursor = conn.cursor;
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.clear();
        let session_ended = conn.session().with_log(|log| {
            let limit = ReadLimit { events: RUN_EVENTS, bytes: RUN_BYTES };
            log.read(&mut cursor, now, limit, |piece| pieces.push(piece));
            log.ended()
        });
        let result = if pieces.is_empty() {
            conn.cursor = cursor;
            conn.cold.held_ms = 0;
            let closes = conn.with_life(|life| {
                if session_ended {
                    life.finish(Finish::after_log(CloseReason::SessionEnded));
                }
                life.caught_up(now)
            });
            if !closes {
                self.caught_up(slot);
            }
            Ok(closes.then_some(0))
        } else {
            self.write_pieces(slot, &pieces, cursor)
        };
        pieces.clear();
        self.pieces = pieces;
        result
    }

    /// A socket has caught up by itself: what publishers and shedding know of its group may be out of date.
    fn caught_up(&mut self, slot: u32) {
        let Some(conn) = self.sockets.get(slot) else { return };
        let view = conn.session().view(self.index());
        if view.oldest() < conn.cursor.next
            && let Some(key) = view.group()
        {
            self.want_look(key, 0);
        }
    }

    fn write_pieces(&mut self, slot: u32, pieces: &[Piece], after: Cursor) -> Result<Option<usize>, End> {
        let Some(conn) = self.sockets.get_mut(slot) else { return Ok(None) };
        let counters = &self.hub.counters;
        let frames: Vec<(u64, Frame, bool)> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Event(sequence, frame) => (sequence + 1, frame.clone(), true),
                Piece::Gap(gap) => {
                    counters.note_gap(gap.reason, 1);
                    (gap.to.sequence + 1, gap_frame(&mut self.encoder, gap), false)
                }
            })
            .collect();
        let framing = conn.framing;
        let runs: Vec<IoSlice<'_>> =
            frames.iter().map(|(_, frame, _)| IoSlice::new(framing.bytes(frame))).collect();
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let wrote = conn.write_vectored(&runs, &mut self.seal).map_err(|error| end_of(&error))?;
        let (taken, full) = match wrote {
            Wrote::All => (total, false),
            Wrote::Part(taken) => (taken, true),
        };
        let (mut begin, mut events) = (0, 0);
        for (next, frame, is_event) in &frames {
            if begin >= taken {
                break;
            }
            let end = begin + framing.bytes(frame).len();
            conn.cursor.next = *next;
            events += u64::from(*is_event);
            if taken < end {
                conn.set_rest(Rest::Frame(frame.clone(), taken - begin));
            }
            begin = end;
        }
        if !full {
            conn.cursor = after;
        }
        conn.sent += events;
        counters.events_delivered.fetch_add(events, Ordering::Relaxed);
        conn.note_write(taken, full, self.now);
        Ok(Some(taken))
    }
}
