//! Writing on for one socket: its opening, its replay, what waited while it was full, its goodbye.
//!
//! A ready socket gets a quantum at a time, so that ten thousand that replay at once take turns and none of
//! them holds more than the frame it is in the middle of.

use std::io::IoSlice;
use std::sync::atomic::Ordering;

use watertight_core::log::ReadLimit;
use watertight_core::{CloseReason, Cursor, Frame, Gap, Piece};
use watertight_wire::Encoder;

use super::conn::{Conn, Wrote};
use super::ending::End;
use super::run::Shard;

/// Bytes that one socket is given per turn.
const QUANTUM_BYTES: usize = 256 * 1024;
/// Events per system call: enough to fill a send buffer, few enough for one small array.
const RUN_EVENTS: usize = 64;
/// Bytes read from the log per system call.
const RUN_BYTES: usize = 128 * 1024;

/// What a turn left behind.
enum Turn {
    /// Level with the log, or full, or closing: nothing to do until something happens.
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

impl Shard<'_> {
    /// Puts a socket into the ready queue, once.
    pub(super) fn make_ready(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(slot);
        }
    }

    /// Gives up to `budget` ready sockets their turn.
    pub(super) fn drain_ready(&mut self, budget: usize) {
        for _ in 0..budget.min(self.ready.len()) {
            let Some(slot) = self.ready.pop_front() else { break };
            let Some(conn) = self.conns.get_mut(slot as usize) else { continue };
            conn.queued = false;
            match self.take_turn(slot) {
                Turn::Rests => self.arm(slot),
                Turn::GoesOn => self.make_ready(slot),
                Turn::Ends(end) => self.finish(slot, end),
            }
        }
    }

    fn take_turn(&mut self, slot: u32) -> Turn {
        let mut wrote_bytes = 0;
        while wrote_bytes < QUANTUM_BYTES {
            let Some(conn) = self.conns.get_mut(slot as usize) else { return Turn::Rests };
            if conn.blocked {
                return Turn::Rests;
            }
            let step = if conn.has_rest() {
                write_rest(conn, self.now)
            } else if let Some(reason) = conn.closing {
                if conn.cold.farewell {
                    return Turn::Ends(End::Closed(reason));
                }
                self.write_farewell(slot, reason)
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

    /// Puts the goodbye where it is written next.
    fn write_farewell(&mut self, slot: u32, reason: CloseReason) -> Result<Option<usize>, End> {
        let retry = self.inner.retry_hint();
        let Some(conn) = self.conns.get_mut(slot as usize) else { return Ok(None) };
        let bytes = crate::wire::farewell(&mut self.encoder, reason, retry);
        conn.set_rest(Some((Frame::new(&bytes, None), 0)));
        conn.cold.farewell = true;
        Ok(Some(0))
    }

    /// Writes what follows the socket's cursor. `None`: it is level.
    fn write_log(&mut self, slot: u32) -> Result<Option<usize>, End> {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return Ok(None) };
        let mut cursor = conn.cursor;
        let now = self.now;
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.clear();
        let ended = conn.session().with_log(|log| {
            let limit = ReadLimit { events: RUN_EVENTS, bytes: RUN_BYTES };
            log.read(&mut cursor, now, limit, |piece| pieces.push(piece));
            log.ended()
        });
        let result = if pieces.is_empty() {
            conn.cursor = cursor;
            conn.cold.held_ms = 0;
            let group = conn.cold.group;
            if ended {
                conn.closing = Some(CloseReason::SessionEnded);
                Ok(Some(0))
            } else {
                self.queue_look(group);
                Ok(None)
            }
        } else {
            self.write_pieces(slot, &pieces, cursor)
        };
        pieces.clear();
        self.pieces = pieces;
        result
    }

    fn write_pieces(&mut self, slot: u32, pieces: &[Piece], after: Cursor) -> Result<Option<usize>, End> {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return Ok(None) };
        let counters = &self.inner.counters;
        let frames: Vec<(u64, Frame, bool)> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Event(sequence, frame) => (sequence + 1, frame.clone(), true),
                Piece::Gap(gap) => {
                    counters.gaps.fetch_add(1, Ordering::Relaxed);
                    (gap.to.sequence + 1, gap_frame(&mut self.encoder, gap), false)
                }
            })
            .collect();
        let runs: Vec<IoSlice<'_>> = frames.iter().map(|(_, frame, _)| IoSlice::new(frame.chunk())).collect();
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let wrote = conn.write_vectored(&runs).map_err(|error| End::from_error(&error))?;
        let (taken, full) = match wrote {
            Wrote::All => (total, false),
            Wrote::Part(taken) => (taken, true),
        };
        let (mut begin, mut events) = (0, 0);
        for (next, frame, is_event) in &frames {
            if begin >= taken {
                break;
            }
            let end = begin + frame.chunk().len();
            conn.cursor.next = *next;
            events += u64::from(*is_event);
            if taken < end {
                conn.set_rest(Some((frame.clone(), taken - begin)));
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

/// Writes on in a half-written frame.
fn write_rest(conn: &mut Conn, now: watertight_core::Tick) -> Result<Option<usize>, End> {
    let Some((frame, at)) = conn.take_rest() else { return Ok(Some(0)) };
    match conn.write(&frame.chunk()[at..]).map_err(|error| End::from_error(&error))? {
        Wrote::All => {
            let wrote = frame.chunk().len() - at;
            conn.note_write(wrote, false, now);
            Ok(Some(wrote))
        }
        Wrote::Part(wrote) => {
            conn.set_rest(Some((frame, at + wrote)));
            conn.note_write(wrote, true, now);
            Ok(Some(wrote))
        }
    }
}
