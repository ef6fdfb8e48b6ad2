//! One timer per connection: when it fires, the life says what is due.

use std::collections::VecDeque;

use watertight_core::{CloseReason, Due, End, Tick, Wheel};

use super::conn::{Rest, Wrote};
use super::ending::end_of;
use super::run::Shard;
use super::sockets::{Moved, give_back};
use crate::source::SourceNews;

/// The timers of a shard's sockets.
#[derive(Debug)]
pub(super) struct Timers {
    wheel: Wheel,
    /// Sockets whose timer fired, in turn. If the slot belongs to another connection by then, that one is only
    /// looked at early.
    due: VecDeque<u32>,
}

impl Timers {
    pub(super) fn new(now: Tick) -> Timers {
        Timers { wheel: Wheel::new(now), due: VecDeque::new() }
    }

    pub(super) fn arm(&mut self, slot: u32, at: Tick) {
        if at.is_set() {
            self.wheel.arm(slot, at);
        } else {
            self.wheel.disarm(slot);
        }
    }

    pub(super) fn disarm(&mut self, slot: u32) {
        self.wheel.disarm(slot);
    }

    /// A socket got another slot.
    pub(super) fn rename(&mut self, moved: Moved) {
        match self.wheel.armed_at(moved.from) {
            Some(at) => {
                self.wheel.disarm(moved.from);
                self.wheel.arm(moved.to, at);
            }
            // It has fired and waits for its turn.
            None => self.due.push_back(moved.to),
        }
    }

    /// Gives back what is kept for slots from `end` on.
    pub(super) fn limit(&mut self, end: u32) {
        self.wheel.limit_keys(end as usize);
    }

    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// When one fires next.
    pub(super) fn next(&self) -> Option<Tick> {
        self.wheel.next()
    }

    fn advance(&mut self, now: Tick) {
        let due = &mut self.due;
        self.wheel.advance(now, |slot| due.push_back(slot));
    }

    fn next_due(&mut self) -> Option<u32> {
        let slot = self.due.pop_front();
        give_back(&mut self.due);
        slot
    }
}

impl Shard {
    /// Arms a connection's timer for whatever comes first.
    pub(super) fn arm(&mut self, slot: u32) {
        if let Some(conn) = self.sockets.get_mut(slot) {
            let at = conn.with_life(|life| life.next());
            self.timers.arm(slot, at);
        }
    }

    /// Fires up to `budget` of what is due; the rest waits for the next turn.
    pub(super) fn fire_timers(&mut self, budget: usize) {
        self.timers.advance(self.now);
        for _ in 0..budget {
            let Some(slot) = self.timers.next_due() else { break };
            self.fire(slot);
        }
    }

    /// Has a socket looked at in the next turn, as if its timer had fired.
    pub(super) fn look_at(&mut self, slot: u32) {
        // Like one that has fired: if the socket moves to another slot meanwhile, so does its look.
        self.timers.wheel.disarm(slot);
        self.timers.due.push_back(slot);
    }

    fn fire(&mut self, slot: u32) {
        let now = self.now;
        let Some(conn) = self.sockets.get_mut(slot) else { return };
        match conn.with_life(|life| life.due(now)) {
            Due::Wait(_) => self.arm(slot),
            Due::Heartbeat => self.beat(slot),
            Due::TryWrite => {
                conn.blocked = false;
                self.sockets.make_ready(slot);
                self.arm(slot);
            }
            Due::Close(_) => self.life_changed(slot),
            Due::End(end) => self.finish(slot, end),
        }
    }

    /// Writes a heartbeat: it shows the peer that the connection is alive, and makes the kernel find out
    /// whether the peer is.
    fn beat(&mut self, slot: u32) {
        let Some(conn) = self.sockets.get(slot) else { return };
        let attached = conn.session().attached();
        let is_waiting = attached.is_some_and(|attached| attached.state().view().is_waiting);
        let heartbeat = conn.framing.heartbeat(is_waiting);
        if let Err(end) = self.write_comment(slot, heartbeat) {
            self.finish(slot, end);
        }
    }

    /// Writes a comment of the hub's, unless other bytes are about to be written.
    fn write_comment(&mut self, slot: u32, comment: &'static [u8]) -> Result<(), End> {
        let now = self.now;
        let Some(conn) = self.sockets.get_mut(slot) else { return Ok(()) };
        if conn.is_idle() {
            match conn.write(comment, &mut self.seal).map_err(|error| end_of(&error))? {
                Wrote::All => conn.note_write(comment.len(), false, now),
                Wrote::Part(0) => conn.note_write(0, true, now),
                Wrote::Part(wrote) => {
                    if wrote < comment.len() {
                        conn.set_rest(Rest::Bytes(comment.into(), wrote));
                    }
                    conn.note_write(wrote, true, now);
                }
            }
        } else {
            conn.with_life(|life| life.skipped_heartbeat(now));
            conn.last_write = now;
        }
        self.arm(slot);
        Ok(())
    }

    /// Tells a socket what became of its source. Called during a walk over its group: what ends is ended after it.
    pub(super) fn tell(&mut self, slot: u32, news: SourceNews) {
        let now = self.now;
        let Some(conn) = self.sockets.get_mut(slot) else { return };
        let end = match news {
            SourceNews::Waiting => {
                let comment = conn.framing.heartbeat(true);
                self.write_comment(slot, comment).err()
            }
            SourceNews::Back => {
                let comment = conn.framing.source_is_back();
                self.write_comment(slot, comment).err()
            }
            SourceNews::Broken => {
                if !conn.with_life(|life| life.close(now, CloseReason::CircuitOpen)) {
                    return;
                }
                let end = conn.life().ended();
                if end.is_none() {
                    self.arm(slot);
                    self.sockets.make_ready(slot);
                }
                end
            }
        };
        self.failed.extend(end.map(|end| (slot, end)));
    }
}
