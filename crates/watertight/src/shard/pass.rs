//! A pass: one batch, written to every socket of a group that has nothing of its own in the way.
//!
//! A pass goes in slices, so that a large group does not starve other sessions. A socket that is full,
//! replaying or closing is skipped; it catches up by itself (`drain.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use watertight_core::log::ReadLimit;
use watertight_core::{Cursor, Session, mailbox};

use super::batch::{BATCH, Batch};
use super::conn::Wrote;
use super::ending::end_of;
use super::look::Slowest;
use super::run::Shard;
use crate::clock::wall_clock;
use crate::source::SourceNews;

/// Sockets that one slice of a pass writes to.
const SLICE: usize = 256;

/// How many sockets before its turn the TLS of one is asked for. It stands somewhere in memory, while sockets stand side
/// by side; one system call is time enough for all of it to come.
const TLS_AHEAD: usize = 1;

/// How much one slice may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) sockets: usize,
    /// What is read from the log.
    pub(super) batch: ReadLimit,
    /// Bytes written to all sockets together, before anything is written.
    pub(super) bytes: usize,
    /// On the hub's exact clock, after the first socket.
    pub(super) until: Option<Duration>,
}

/// What a pump does at once.
const OF_PUMP: Share = Share { sockets: SLICE, batch: BATCH, bytes: usize::MAX, until: None };

/// What became of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// So many sockets were looked at.
    LookedAt(usize),
    /// It is more than the share; nothing was done.
    TooMuch,
}

impl Shard {
    /// Queues a pass over the session's group, and wakes its tasks if this is their home.
    pub(super) fn session_has_news(&mut self, session: &Arc<Session>) {
        let index = self.index();
        mailbox::read_news(session, index, |session| {
            if self.is_home_of(session) {
                mailbox::wake_tasks(session, self.now, &mut self.tasks);
            }
            if let Some(key) = session.view(index).group() {
                self.groups.queue_pass(key);
            }
        });
    }

    /// Runs slices of passes until about `budget` sockets were looked at.
    pub(super) fn run_passes(&mut self, budget: usize) {
        let mut looked_at = 0;
        while looked_at < budget
            && let Some(key) = self.groups.next_pass()
        {
            let Slice::LookedAt(sockets) = self.run_slice(key, OF_PUMP) else { continue };
            looked_at += 1 + sockets;
            self.end_failed();
        }
    }

    /// One slice of one group's pass. Sockets that fail stand in `failed` afterwards.
    pub(super) fn run_slice(&mut self, key: u32, share: Share) -> Slice {
        let Some(group) = self.groups.get_mut(key) else { return Slice::LookedAt(0) };
        let going_on = (group.at > 0).then_some(group.upto);
        let mut batch = std::mem::take(&mut self.batch);
        let from = (group.pumped, going_on);
        batch.load(&group.session, from, share.batch, self.now, &mut self.encoder);
        let end = group.members.len().min(group.at + share.sockets);
        if batch.len().saturating_mul(end - group.at) > share.bytes {
            batch.clear();
            self.batch = batch;
            return Slice::TooMuch;
        }
        if going_on.is_none() {
            group.upto = batch.upto();
            group.slowest = Slowest::NONE;
            group.begin_telling();
            let readers = group.members.len() as u64;
            batch.gaps().iter().for_each(|reason| self.hub.counters.note_gap(*reason, readers));
        }
        let (first, telling) = (group.at, group.telling);
        let (mut delivered, mut upto) = (0, first);
        for member in first..end {
            if member > first && share.until.is_some_and(|until| self.hub.clock.elapsed() >= until) {
                break;
            }
            upto = member + 1;
            // That the source is back comes before what it brings; all else after what it brought.
            if telling == Some(SourceNews::Back) {
                self.tell_member(key, member, SourceNews::Back);
            }
            delivered += self.deliver(key, member, &mut batch);
            if let Some(news) = telling.filter(|news| *news != SourceNews::Back) {
                self.tell_member(key, member, news);
            }
        }
        if delivered > 0 {
            let counters = &self.hub.counters;
            counters.events_delivered.fetch_add(delivered, Ordering::Relaxed);
            counters.deliveries.note_delivered(batch.events(), delivered, wall_clock());
        }
        batch.clear();
        self.batch = batch;
        self.end_slice(key, upto);
        Slice::LookedAt(upto - first)
    }

    fn tell_member(&mut self, key: u32, member: usize, news: SourceNews) {
        let slot = self.groups.get_mut(key).and_then(|group| group.members.get(member)).copied();
        if let Some(slot) = slot {
            self.tell(slot, news);
        }
    }

    /// Either goes on later or ends the pass.
    fn end_slice(&mut self, key: u32, end: usize) {
        let Some(group) = self.groups.get_mut(key) else { return };
        if end < group.members.len() {
            group.at = end;
            self.groups.queue_pass(key);
            return;
        }
        group.at = 0;
        group.pumped = group.pumped.max(group.upto);
        group.publish_slowest(group.slowest);
        self.hub.counters.lag.note(group.lag(group.slowest), self.now);
        let session = Arc::clone(&group.session);
        if session.head() > group.pumped {
            self.groups.queue_pass(key);
        }
        self.readers_came_nearer(&session);
    }

    /// Writes the batch to one socket. Returns the events it took.
    fn deliver(&mut self, key: u32, member: usize, batch: &mut Batch) -> u64 {
        let Some(group) = self.groups.get_mut(key) else { return 0 };
        let Some(slot) = group.members.get(member).copied() else { return 0 };
        if let Some(soon) = group.members.get(member + TLS_AHEAD) {
            self.sockets.prefetch_tls(*soon);
        }
        let Some(conn) = self.sockets.get_mut(slot) else { return 0 };
        if !conn.is_idle() {
            group.slowest.meet(conn.cursor.next, conn.cursor.live && conn.is_reading(self.now));
            return 0;
        }
        batch.prepare(conn.framing);
        let Some((run, events)) = batch.run_for(conn.cursor.next, conn.framing) else {
            group.slowest.meet(conn.cursor.next, true);
            self.sockets.make_ready(slot);
            return 0;
        };
        let wrote = if run.is_empty() { Ok(Wrote::All) } else { conn.write(run, &mut self.seal) };
        match wrote {
            Ok(Wrote::All) => {
                if !run.is_empty() {
                    conn.cursor = Cursor { next: batch.upto(), live: true };
                    conn.last_write = self.now;
                    conn.sent += events;
                }
                group.slowest.meet(conn.cursor.next, true);
                if batch.is_last {
                    // The session ended with this: it catches up by itself, which closes it.
                    self.sockets.make_ready(slot);
                }
                events
            }
            Ok(Wrote::Part(wrote)) => {
                let settled = batch.settle(conn.cursor.next, wrote, conn.framing);
                conn.cursor.next = settled.next;
                if let Some(rest) = settled.rest {
                    conn.set_rest(rest);
                }
                conn.sent += settled.events;
                conn.note_write(wrote, true, self.now);
                group.slowest.meet(conn.cursor.next, true);
                self.arm(slot);
                settled.events
            }
            Err(error) => {
                self.failed.push((slot, end_of(&error)));
                0
            }
        }
    }
}
