//! A pass: one batch, written to every socket of a group that has nothing of its own in the way.
//!
//! A pass goes in slices, so that a large group starves nobody. A socket that is full, replaying or closing is
//! skipped; it draws level by itself (`drain.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use watertight_core::{Cursor, Session};

use super::batch::Batch;
use super::conn::Wrote;
use super::ending::End;
use super::run::Shard;

/// Sockets that one slice of a pass writes to.
const SLICE: usize = 256;

/// The sockets of one session in this shard. Dropping it takes it out of the session.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) session: Arc<Session>,
    pub(super) shard: usize,
    pub(super) members: Vec<u32>,
    /// Event up to which idle members were served.
    pub(super) pumped: u64,
    /// Waits for, or is in the middle of, a pass.
    pub(super) queued: bool,
    /// A member caught up or left by itself: the pass in progress may have met it before that.
    again: bool,
    /// Next member of the pass in progress; 0 between passes.
    pub(super) at: usize,
    /// Where the pass in progress ends.
    upto: u64,
    /// Slowest reading and slowest of all members that the pass in progress met.
    slowest: Slowest,
}

/// How far behind the members of a group are.
#[derive(Debug, Clone, Copy)]
struct Slowest {
    reading: u64,
    any: u64,
}

impl Slowest {
    const NONE: Slowest = Slowest { reading: u64::MAX, any: u64::MAX };

    fn meet(&mut self, next: u64, reading: bool) {
        self.any = self.any.min(next);
        if reading {
            self.reading = self.reading.min(next);
        }
    }
}

impl Group {
    pub(super) fn new(session: Arc<Session>, shard: usize) -> Group {
        let pumped = session.head();
        Group {
            session,
            shard,
            members: Vec::new(),
            pumped,
            queued: false,
            again: false,
            at: 0,
            upto: 0,
            slowest: Slowest::NONE,
        }
    }

    fn publish_slowest(&self, slowest: Slowest) {
        let slot = self.session.slot(self.shard);
        slot.set_served(slowest.reading);
        slot.set_oldest(slowest.any);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.session.slot(self.shard).set_group(None);
    }
}

impl Shard<'_> {
    /// Queues a pass over the session's group, and wakes its tasks if this is their home.
    pub(super) fn session_has_news(&mut self, session: &Arc<Session>) {
        // Clean before the log is read: whatever is published from here on marks it again.
        session.slot(self.index()).clear();
        if session.home() == self.index() && session.has_tasks() {
            session.tasks(&mut self.tasks);
            for task in self.tasks.drain(..) {
                task.waker().wake();
            }
        }
        if let Some(key) = session.slot(self.index()).group() {
            self.queue_pass(key);
        }
    }

    pub(super) fn queue_pass(&mut self, key: u32) {
        let Some(group) = self.groups.get_mut(key as usize) else { return };
        if !group.queued {
            group.queued = true;
            self.passes.push_back(key);
        }
    }

    /// Queues a pass because a member caught up or left by itself: how far behind the others are is to be said
    /// anew, or memory pressure would spare history that nobody needs.
    pub(super) fn queue_look(&mut self, key: u32) {
        if let Some(group) = self.groups.get_mut(key as usize) {
            group.again |= group.at > 0;
        }
        self.queue_pass(key);
    }

    /// Runs slices of passes until about `budget` sockets were looked at.
    pub(super) fn run_passes(&mut self, budget: usize) {
        let mut looked_at = 0;
        while looked_at < budget
            && let Some(key) = self.passes.pop_front()
        {
            looked_at += 1 + self.run_slice(key);
        }
    }

    /// One slice of one group's pass. Returns how many sockets it looked at.
    fn run_slice(&mut self, key: u32) -> usize {
        let Some(group) = self.groups.get_mut(key as usize) else { return 0 };
        let going_on = (group.at > 0).then_some(group.upto);
        let mut batch = std::mem::take(&mut self.batch);
        let gaps = batch.load(&group.session, group.pumped, going_on, self.now, &mut self.encoder);
        if going_on.is_none() {
            group.upto = batch.upto();
            group.slowest = Slowest::NONE;
            self.inner.counters.gaps.fetch_add(gaps * group.members.len() as u64, Ordering::Relaxed);
        }
        let end = group.members.len().min(group.at + SLICE);
        let looked_at = end - group.at;
        let mut delivered = 0;
        for place in group.at..end {
            delivered += self.deliver(key, place, &batch);
        }
        self.inner.counters.events_delivered.fetch_add(delivered, Ordering::Relaxed);
        batch.clear();
        self.batch = batch;
        self.end_slice(key, end);
        self.end_failed();
        looked_at
    }

    /// Either goes on later or closes the books of the pass.
    fn end_slice(&mut self, key: u32, end: usize) {
        let Some(group) = self.groups.get_mut(key as usize) else { return };
        if end < group.members.len() {
            group.at = end;
            self.passes.push_back(key);
            return;
        }
        group.at = 0;
        group.pumped = group.pumped.max(group.upto);
        group.publish_slowest(group.slowest);
        if group.session.head() > group.pumped || std::mem::take(&mut group.again) {
            self.passes.push_back(key);
        } else {
            group.queued = false;
        }
        let session = Arc::clone(&group.session);
        if session.with_log(|log| log.ended()) {
            self.session_ended(key);
        }
        self.wake_paced(&session);
    }

    /// Writes the batch to one socket. Returns the events it took.
    fn deliver(&mut self, key: u32, place: usize, batch: &Batch) -> u64 {
        let group = &mut self.groups[key as usize];
        let slot = group.members[place];
        let Some(conn) = self.conns.get_mut(slot as usize) else { return 0 };
        if !conn.is_idle() {
            group.slowest.meet(conn.cursor.next, conn.cursor.live && conn.is_reading(self.now));
            return 0;
        }
        let Some((run, events)) = batch.run_for(conn.cursor.next) else {
            group.slowest.meet(conn.cursor.next, true);
            self.make_ready(slot);
            return 0;
        };
        if run.is_empty() {
            group.slowest.meet(conn.cursor.next, true);
            return 0;
        }
        match conn.write(run) {
            Ok(Wrote::All) => {
                conn.cursor = Cursor { next: batch.upto(), live: true };
                conn.last_write = self.now;
                conn.sent += events;
                group.slowest.meet(batch.upto(), true);
                events
            }
            Ok(Wrote::Part(wrote)) => {
                let settled = batch.settle(conn.cursor.next, wrote);
                conn.cursor.next = settled.next;
                conn.set_rest(settled.rest);
                conn.sent += settled.events;
                conn.note_write(wrote, true, self.now);
                group.slowest.meet(conn.cursor.next, true);
                self.arm(slot);
                settled.events
            }
            Err(error) => {
                self.failed.push((slot, End::from_error(&error)));
                0
            }
        }
    }

    /// Looks again at how far a group's members are, after some drew level outside a pass. Publishers have
    /// waited for `waited_ms`: whoever they waited for while others were level has used that much of what it
    /// may hold them back.
    pub(super) fn look_at_group(&mut self, key: u32, waited_ms: u64) {
        let Some(group) = self.groups.get(key as usize) else { return };
        let near = group.session.near().unwrap_or_else(|| self.inner.near(&group.session));
        let limit = group.session.head().saturating_sub(near);
        let nexts = group.members.iter().filter_map(|slot| self.conns.get(*slot as usize));
        let some_are_level = nexts.map(|conn| conn.cursor.next).any(|next| next >= limit);
        if waited_ms > 0 && (some_are_level || group.session.others_have(group.shard, limit)) {
            for slot in &group.members {
                if let Some(conn) = self.conns.get_mut(*slot as usize)
                    && conn.cursor.next < limit
                {
                    conn.cold.held_ms += waited_ms;
                }
            }
        }
        let mut slowest = Slowest::NONE;
        for slot in &group.members {
            if let Some(conn) = self.conns.get(*slot as usize) {
                let reading = conn.is_idle() || (conn.cursor.live && conn.is_reading(self.now));
                slowest.meet(conn.cursor.next, reading);
            }
        }
        if group.at == 0 {
            group.publish_slowest(slowest);
        }
    }
}
