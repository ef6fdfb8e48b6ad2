//! One timer per connection: heartbeats, deadlines, the end of a token, the end of patience.

use std::sync::Arc;

use watertight_core::{Due, Frame, Tick};
use watertight_wire::HEARTBEAT_CHUNK;

use super::conn::Wrote;
use super::ending::End;
use super::run::Shard;

impl Shard<'_> {
    /// Arms a connection's timer for whatever comes first.
    pub(super) fn arm(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            let policy = Arc::clone(&conn.cold.policy);
            let is_closing = conn.closing.is_some();
            let life = conn.life();
            self.wheel.arm(slot, if is_closing { life.deadline } else { life.next(&policy) });
        }
    }

    /// Fires up to `budget` of what is due; the rest waits for the next turn. A slot that was given to another
    /// connection meanwhile is only asked a little early.
    pub(super) fn fire_timers(&mut self, budget: usize) {
        let due = &mut self.due;
        self.wheel.advance(self.now, |slot| due.push_back(slot));
        for _ in 0..budget.min(self.due.len()) {
            if let Some(slot) = self.due.pop_front() {
                self.fire(slot);
            }
        }
    }

    fn fire(&mut self, slot: u32) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if let Some(reason) = conn.closing {
            if now >= conn.cold.life.deadline {
                self.finish(slot, End::CutOff(reason));
            } else {
                self.arm(slot);
            }
            return;
        }
        let policy = Arc::clone(&conn.cold.policy);
        match conn.life().due(now, &policy) {
            Due::Wait(_) => self.arm(slot),
            Due::Heartbeat => self.beat(slot),
            Due::Revalidate => {
                let cold = &mut conn.cold;
                cold.state.validations = cold.state.validations.saturating_add(1);
                cold.life.revalidate_at = policy.revalidate.map_or(Tick::NEVER, |every| now.after(every));
                self.arm(slot);
            }
            Due::Close(reason) => self.begin_close(slot, reason),
        }
    }

    /// Writes a heartbeat: it tells the peer that the line is alive, and the kernel to find out whether the
    /// peer is.
    fn beat(&mut self, slot: u32) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if conn.is_idle() {
            match conn.write(HEARTBEAT_CHUNK) {
                Ok(Wrote::All) => conn.note_write(HEARTBEAT_CHUNK.len(), false, now),
                Ok(Wrote::Part(0)) => conn.note_write(0, true, now),
                Ok(Wrote::Part(wrote)) => {
                    conn.set_rest(Some((Frame::new(HEARTBEAT_CHUNK, None), wrote)));
                    conn.note_write(wrote, true, now);
                }
                Err(error) => {
                    let end = End::from_error(&error);
                    self.finish(slot, end);
                    return;
                }
            }
        } else {
            // It is about to be written to anyway.
            conn.last_write = now;
        }
        self.arm(slot);
    }
}
