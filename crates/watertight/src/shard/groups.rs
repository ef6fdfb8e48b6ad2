//! The sockets of each session, and which groups wait for a pass.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;
use watertight_core::{Session, Table};

use super::look::{Look, Slowest};
use crate::source::SourceNews;

/// The sockets of one session in this shard. Dropping it takes it out of the session.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) session: Arc<Session>,
    shard: u32,
    /// Slots of its sockets. Few stand in the group itself.
    pub(super) members: SmallVec<[u32; 4]>,
    /// Event up to which idle members were served.
    pub(super) pumped: u64,
    /// Waits for its turn of a pass.
    queued: bool,
    /// Next member of the pass in progress; 0 between passes.
    pub(super) at: usize,
    /// Where the pass in progress ends.
    pub(super) upto: u64,
    /// How far behind the members are that the pass in progress met.
    pub(super) slowest: Slowest,
    /// The version of what members were last told of their source.
    told: u64,
    /// What the pass in progress tells them of it.
    pub(super) telling: Option<SourceNews>,
    /// The walk that looks how far behind all members are.
    pub(super) look: Look,
}

impl Group {
    fn new(session: Arc<Session>, shard: usize, told: u64) -> Group {
        let pumped = session.head();
        Group {
            session,
            shard: u32::try_from(shard).unwrap_or(u32::MAX),
            members: SmallVec::new(),
            pumped,
            queued: false,
            at: 0,
            upto: 0,
            slowest: Slowest::NONE,
            told,
            telling: None,
            look: Look::default(),
        }
    }

    /// What a pass that begins is to tell members of their source.
    pub(super) fn begin_telling(&mut self) {
        self.telling = SourceNews::since(&self.session, &mut self.told);
    }

    /// Tells publishers, and whoever sheds history, how far behind the members are.
    pub(super) fn publish_slowest(&self, slowest: Slowest) {
        let view = self.session.view(self.shard as usize);
        view.set_served(slowest.reading);
        view.set_oldest(slowest.any);
    }

    /// How far the slowest member is behind the head, events.
    pub(super) fn lag(&self, slowest: Slowest) -> u64 {
        self.session.head().saturating_sub(slowest.any)
    }

    /// Whether other readers of the session have come to `next`.
    pub(super) fn others_have(&self, next: u64) -> bool {
        self.session.others_have(self.shard as usize, next)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.session.view(self.shard as usize).set_group(None);
    }
}

/// What became of the walks over a group that a member left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The member that has the number of the one that left.
    pub(super) moved: Option<u32>,
    /// It moved from the part that the pass has not visited into the part that it has: it catches up by itself.
    pub(super) passed_by: bool,
    /// The group has no members any more and is gone.
    pub(super) emptied: Option<Arc<Session>>,
}

/// All groups of a shard.
#[derive(Debug, Default)]
pub(super) struct Groups {
    table: Table<Group>,
    /// Groups that wait for a pass, in turn. One whose mark is not set has had it, or has gone.
    passes: VecDeque<u32>,
}

impl Groups {
    /// Asks for the memory of a group.
    pub(super) fn prefetch(&self, key: u32) {
        self.table.prefetch(key);
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut Group> {
        self.table.get_mut(key)
    }

    /// The group of that session, made if there is none. It is announced to publishers before the log is read
    /// for its first member, so no event falls between. `told`: the version of what the first member knows of its source.
    pub(super) fn of_session(&mut self, session: &Arc<Session>, shard: usize, told: u64) -> u32 {
        if let Some(key) = session.view(shard).group() {
            return key;
        }
        let key = self.table.insert(Group::new(Arc::clone(session), shard, told));
        session.view(shard).set_group(Some(key));
        key
    }

    /// Queues a pass over a group, once.
    pub(super) fn queue_pass(&mut self, key: u32) {
        let Some(group) = self.table.get_mut(key) else { return };
        if !group.queued {
            group.queued = true;
            self.passes.push_back(key);
        }
    }

    /// The next group.
    pub(super) fn next_pass(&mut self) -> Option<u32> {
        loop {
            let key = self.passes.pop_front()?;
            super::sockets::give_back(&mut self.passes);
            if let Some(group) = self.table.get_mut(key)
                && std::mem::replace(&mut group.queued, false)
            {
                return Some(key);
            }
        }
    }

    pub(super) fn has_passes(&self) -> bool {
        !self.passes.is_empty()
    }

    /// Takes a member out; the last one takes its number. `stand_of` says where a member
    /// stands, and whether it reads.
    pub(super) fn leave(
        &mut self,
        key: u32,
        member: usize,
        stand_of: impl Fn(u32) -> Option<(u64, bool)>,
    ) -> Left {
        let mut left = Left::default();
        let Some(group) = self.table.get_mut(key) else { return left };
        group.members.swap_remove(member);
        left.moved = group.members.get(member).copied();
        if let Some(moved) = left.moved {
            left.passed_by = member < group.at && group.members.len() >= group.at;
            // Neither walk may miss a member that moves into the part that the walk has already visited.
            if let Some((next, reading)) = stand_of(moved) {
                group.slowest.meet(next, reading);
                group.look.meet_moved(member, next, reading);
            }
        }
        group.at = group.at.min(group.members.len());
        group.look.shrink_to(group.members.len());
        if 2 * group.members.len() + 64 < group.members.capacity() {
            group.members.shrink_to_fit();
        }
        if group.members.is_empty() {
            left.emptied = Some(Arc::clone(&group.session));
            self.remove(key);
        }
        left
    }

    /// Takes a group out, and gives its number's memory back.
    fn remove(&mut self, key: u32) {
        drop(self.table.remove(key));
        let Some((_, to)) = self.table.compact_one() else { return };
        if let Some(group) = self.table.get(to) {
            group.session.view(group.shard as usize).set_group_number(to);
            if group.queued {
                self.passes.push_back(to);
            }
        }
    }
}
