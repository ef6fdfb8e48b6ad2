//! The one way out: every connection of a pump that ends, ends here, once. Its `Life` decides why it ends.

use std::io;

use watertight_core::{CloseReason, End};

use super::ConnectionId;
use super::run::Shard;
use crate::subscription::report_end;

/// How a connection ended whose socket gave this error.
pub(super) fn end_of(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => End::PeerClosed,
        io::ErrorKind::ConnectionReset => End::PeerReset,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => End::PeerUnreachable,
        _ => End::SocketError,
    }
}

impl Shard {
    /// Closes a connection: its closing event is written as soon as the socket takes it.
    pub(super) fn begin_close(&mut self, slot: u32, reason: CloseReason) {
        let now = self.now;
        let Some(conn) = self.sockets.get_mut(slot) else { return };
        if !conn.with_life(|life| life.close(now, reason)) {
            return;
        }
        self.life_changed(slot);
    }

    /// A life is closing or has ended: goes on with that.
    pub(super) fn life_changed(&mut self, slot: u32) {
        let Some(conn) = self.sockets.get(slot) else { return };
        match conn.life().ended() {
            Some(end) => self.finish(slot, end),
            None => {
                self.arm(slot);
                self.sockets.make_ready(slot);
            }
        }
    }

    /// Ends a connection: out of its group, off the wheel, into the log; dropping it gives the rest back. Another
    /// socket may get its slot or another one: hold no slot across this.
    pub(super) fn finish(&mut self, slot: u32, end: End) {
        let Some((mut conn, moved)) = self.sockets.remove(slot) else { return };
        // While its line is full the kernel's patience is the write deadline's, and a bit: a reader that stalls is not dead, but
        // the little that it takes now and then begins the hub's own deadline anew, and not the kernel's.
        let stalls = end == End::PeerUnreachable && conn.life().is_stalled();
        let end = if stalls { End::CutOff(CloseReason::SlowConsumer) } else { end };
        conn.with_life(|life| life.end(end));
        let end = conn.life().ended().unwrap_or(end);
        self.timers.disarm(slot);
        // It may have failed twice in one walk, and its slot may be another's now.
        self.failed.retain(|failed| failed.0 != slot);
        if let Some(moved) = moved {
            self.timers.rename(moved);
            if self.questions.looks_at_access() {
                // The walk may have passed its new slot and not have come to its old one.
                self.look_at(moved.to);
            }
            self.rename_member(moved.to);
            self.failed
                .iter_mut()
                .filter(|failed| failed.0 == moved.from)
                .for_each(|failed| failed.0 = moved.to);
        }
        self.timers.limit(self.sockets.end());
        let (key, member) = (conn.session().view(self.index()).group(), conn.cold.member);
        if let Some(key) = key {
            self.leave_group(key, member as usize);
        }
        self.hub.counters.note_end(end);
        if end.is_hard() {
            conn.reset();
        } else {
            conn.say_close(&mut self.seal);
        }
        report_end(self.id_of(conn.cold.number), conn.session(), conn.life(), end, self.now);
        drop(conn);
    }

    pub(super) fn id_of(&self, number: u64) -> ConnectionId {
        ConnectionId { shard: u8::try_from(self.index()).ok(), number }
    }

    /// Ends what failed during a walk over a group, after the walk.
    pub(super) fn end_failed(&mut self) {
        while let Some((slot, end)) = self.failed.pop() {
            self.finish(slot, end);
        }
    }

    /// A socket got another slot: its group's list of members says so.
    fn rename_member(&mut self, slot: u32) {
        let Some(conn) = self.sockets.get(slot) else { return };
        let (key, member) = (conn.session().view(self.index()).group(), conn.cold.member as usize);
        if let Some(entry) =
            key.and_then(|key| self.groups.get_mut(key)).and_then(|group| group.members.get_mut(member))
        {
            *entry = slot;
        }
    }

    /// Takes a socket out of its group; the last member takes its number.
    fn leave_group(&mut self, key: u32, member: usize) {
        let now = self.now;
        let sockets = &self.sockets;
        let left = self.groups.leave(key, member, |slot| {
            let conn = sockets.get(slot)?;
            Some((conn.cursor.next, conn.is_idle() || (conn.cursor.live && conn.is_reading(now))))
        });
        if let Some(slot) = left.moved {
            if let Some(conn) = self.sockets.get_mut(slot) {
                conn.cold.member = u32::try_from(member).unwrap_or(u32::MAX);
            }
            if left.passed_by {
                self.sockets.make_ready(slot);
            }
        }
        match left.emptied {
            Some(session) => self.readers_came_nearer(&session),
            // It may have been the reader for which history was kept.
            None => self.want_look(key, 0),
        }
    }
}
