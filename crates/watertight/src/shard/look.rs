//! How far behind the sockets of a group are: what paces publishers, and what history must be kept.
//!
//! A pass determines this for all members. Between passes members catch up or leave by themselves; then a walk
//! looks again, in slices, at most once in [`LOOK_EVERY`] for each group, however many ask for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use watertight_core::{Session, Tick};

use super::run::Shard;

/// How often groups are looked at, and waiting publishers looked after.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A group of so few is looked at as soon as somebody asks.
const FEW: usize = 64;

/// How far behind the members of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slowest {
    /// The first event that a member which reads still needs.
    pub(super) reading: u64,
    /// The first event that any member still needs.
    pub(super) any: u64,
}

impl Slowest {
    pub(super) const NONE: Slowest = Slowest { reading: u64::MAX, any: u64::MAX };

    pub(super) fn meet(&mut self, next: u64, reading: bool) {
        self.any = self.any.min(next);
        if reading {
            self.reading = self.reading.min(next);
        }
    }
}

/// What a group remembers of looks at it.
#[derive(Debug, Default)]
pub(super) struct Look {
    wanted: bool,
    /// Whether some members had come near the head when the group was last looked at.
    some_were_near: bool,
    /// For how long publishers have waited for this group since it was last looked at, milliseconds.
    waited_ms: u32,
    /// The walk that is under way. A small group needs none.
    walk: Option<Box<Walk>>,
}

/// A walk over a group's members.
#[derive(Debug)]
struct Walk {
    /// Members before this one were met.
    at: usize,
    slowest: Slowest,
    some_are_near: bool,
}

impl Look {
    /// A member moved to number `member`; if the walk is beyond that, it meets it here.
    pub(super) fn meet_moved(&mut self, member: usize, next: u64, reading: bool) {
        if let Some(walk) = self.walk.as_mut().filter(|walk| member < walk.at) {
            walk.slowest.meet(next, reading);
        }
    }

    pub(super) fn shrink_to(&mut self, members: usize) {
        if let Some(walk) = &mut self.walk {
            walk.at = walk.at.min(members);
        }
    }
}

/// Groups that are to be looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// By session: a group's number may change while it waits.
    waiting: VecDeque<Arc<Session>>,
    next: Tick,
}

impl Looks {
    /// When the next look is due.
    pub(super) fn next(&self) -> Option<Tick> {
        (!self.waiting.is_empty()).then_some(self.next)
    }
}

impl Shard {
    /// Asks for a look at a group: members have caught up or left outside a pass. `waited_ms`: publishers have
    /// waited for it so long since they last asked.
    pub(super) fn want_look(&mut self, key: u32, waited_ms: u32) {
        let Some(group) = self.groups.get_mut(key) else { return };
        group.look.waited_ms = group.look.waited_ms.saturating_add(waited_ms);
        let is_small = group.members.len() <= FEW;
        if !std::mem::replace(&mut group.look.wanted, true) && !is_small {
            self.looks.waiting.push_back(Arc::clone(&group.session));
        }
        if is_small {
            self.look_on(key, FEW);
        }
    }

    /// Looks at groups that wait for it, at up to `budget` members.
    pub(super) fn run_looks(&mut self, mut budget: usize) {
        if self.looks.waiting.is_empty() || (self.hub.clock.runs() && self.now < self.looks.next) {
            return;
        }
        while budget > 0
            && let Some(session) = self.looks.waiting.pop_front()
        {
            let Some(key) = session.view(self.index()).group() else { continue };
            let (looked_at, is_done) = self.look_on(key, budget);
            budget = budget.saturating_sub(looked_at.max(1));
            if !is_done {
                self.looks.waiting.push_front(session);
                return;
            }
        }
        if self.looks.waiting.is_empty() {
            self.looks.next = self.now.after(LOOK_EVERY);
            super::sockets::give_back(&mut self.looks.waiting);
        }
    }

    /// Goes on with the walk over a group. Returns how many members it met, and whether that was all.
    fn look_on(&mut self, key: u32, most: usize) -> (usize, bool) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(key) else { return (0, true) };
        let near = group.session.near().unwrap_or_else(|| self.hub.near(&group.session));
        let limit = group.session.head().saturating_sub(near);
        let is_held_up = group.look.waited_ms > 0 && (group.look.some_were_near || group.others_have(limit));
        let begun = group.look.walk.take().map(|walk| *walk);
        let mut walk = begun.unwrap_or(Walk { at: 0, slowest: Slowest::NONE, some_are_near: false });
        let begin = walk.at;
        walk.at = group.members.len().min(begin + most);
        for slot in &group.members[begin..walk.at] {
            let Some(conn) = self.sockets.get_mut(*slot) else { continue };
            let next = conn.cursor.next;
            if next >= limit {
                walk.some_are_near = true;
            } else if is_held_up {
                // Publishers wait for this socket while others have caught up, which is allowed for a limited
                // time only.
                conn.cold.held_ms = conn.cold.held_ms.saturating_add(group.look.waited_ms);
            }
            let reading = conn.is_idle() || (conn.cursor.live && conn.is_reading(now));
            walk.slowest.meet(next, reading);
        }
        let looked_at = walk.at - begin;
        if walk.at < group.members.len() {
            group.look.walk = Some(Box::new(walk));
            return (looked_at, false);
        }
        group.look = Look { some_were_near: walk.some_are_near, ..Look::default() };
        // A pass that is under way publishes what it finds at its own end.
        if group.at == 0 {
            group.publish_slowest(walk.slowest);
            self.hub.counters.lag.note(group.lag(walk.slowest), now);
        }
        (looked_at, true)
    }
}
