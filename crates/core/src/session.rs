//! A session: a named log, who reads it, and how far its pumps have come.
//!
//! The log has a lock of its own, held for arithmetic and reference counts only. Subscribers of two kinds read
//! it: sockets, grouped per shard and walked by the shard's pump, and tasks, woken by it.

use std::sync::Arc as StdArc;

use atomic_waker::AtomicWaker;
use slab::Slab;

use crate::budget::Permit;
use crate::ledger::Entry;
use crate::limits::{READING_PATIENCE_MS, SESSION_OVERHEAD_BYTES};
use crate::log::Log;
use crate::name::SessionName;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::time::Tick;

/// No group of this session in that shard.
pub const NO_GROUP: u32 = u32::MAX;

/// What a shard keeps about a session, beside the session so that publishers find it without a look-up.
#[derive(Debug)]
pub struct ShardSlot {
    /// Set while the session stands in the shard's queue.
    dirty: AtomicBool,
    /// The shard's group of this session's sockets; [`NO_GROUP`] without any. Written by the shard only.
    group: AtomicU32,
    /// The event up to which every reading socket of the shard was served; publishers are paced by it.
    served: AtomicU64,
    /// The oldest event that any socket of the shard still needs; `u64::MAX` without any.
    oldest: AtomicU64,
}

impl ShardSlot {
    fn new() -> ShardSlot {
        ShardSlot {
            dirty: AtomicBool::new(false),
            group: AtomicU32::new(NO_GROUP),
            served: AtomicU64::new(u64::MAX),
            oldest: AtomicU64::new(u64::MAX),
        }
    }

    /// The shard's group.
    pub fn group(&self) -> Option<u32> {
        Some(self.group.load(Ordering::SeqCst)).filter(|group| *group != NO_GROUP)
    }

    /// Sets the shard's group. Without one, nothing holds publishers back.
    pub fn set_group(&self, group: Option<u32>) {
        self.group.store(group.unwrap_or(NO_GROUP), Ordering::SeqCst);
        if group.is_none() {
            self.served.store(u64::MAX, Ordering::SeqCst);
            self.oldest.store(u64::MAX, Ordering::SeqCst);
        }
    }

    /// Says which event is the oldest that a socket of the shard still needs.
    pub fn set_oldest(&self, next: u64) {
        self.oldest.store(next, Ordering::SeqCst);
    }

    /// Says that a socket joined that needs events from `next` on. One that is level with the log holds
    /// publishers back from its first moment, not only after the first pass that met it.
    pub fn joined(&self, next: u64, is_live: bool) {
        self.oldest.fetch_min(next, Ordering::SeqCst);
        if is_live {
            self.served.fetch_min(next, Ordering::SeqCst);
        }
    }

    /// Says up to which event number (exclusive) the shard's reading sockets were served; `u64::MAX`: nobody
    /// holds publishers back.
    pub fn set_served(&self, next: u64) {
        self.served.store(next, Ordering::SeqCst);
    }

    /// Marks the session dirty. `true`: it was clean, and the caller must queue it.
    pub fn mark(&self) -> bool {
        !self.dirty.swap(true, Ordering::SeqCst)
    }

    /// Marks the session clean; call before reading its log.
    pub fn clear(&self) {
        self.dirty.store(false, Ordering::SeqCst);
    }
}

/// A subscriber that is a task: an HTTP/2 body, a long-poll request, a Rust stream.
#[derive(Debug)]
pub struct TaskSubscriber {
    waker: AtomicWaker,
    next: AtomicU64,
    progressed: AtomicU64,
    /// 0: open; otherwise one more than the index of a close reason.
    closed: AtomicU32,
}

impl TaskSubscriber {
    /// A subscriber that stands at event `next`.
    #[must_use]
    pub fn new(next: u64, now: Tick) -> StdArc<TaskSubscriber> {
        StdArc::new(TaskSubscriber {
            waker: AtomicWaker::new(),
            next: AtomicU64::new(next),
            progressed: AtomicU64::new(now.0),
            closed: AtomicU32::new(0),
        })
    }

    /// Where the task is woken.
    pub fn waker(&self) -> &AtomicWaker {
        &self.waker
    }

    /// Notes that the task reads on at `next`.
    pub fn progress(&self, next: u64, now: Tick) {
        self.next.store(next, Ordering::SeqCst);
        self.progressed.store(now.0, Ordering::SeqCst);
    }

    /// The next event it reads.
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// When it last came to read.
    pub fn last_progress(&self) -> Tick {
        Tick(self.progressed.load(Ordering::SeqCst))
    }

    /// Ends it from outside with a reason's index; the first reason stands, and only that is answered with
    /// `true`. The task is woken.
    pub fn close(&self, reason: u32) -> bool {
        let closed = self.closed.compare_exchange(0, reason + 1, Ordering::SeqCst, Ordering::SeqCst);
        self.waker.wake();
        closed.is_ok()
    }

    /// The index of the reason it was closed with.
    pub fn closed(&self) -> Option<u32> {
        self.closed.load(Ordering::SeqCst).checked_sub(1)
    }
}

#[derive(Debug, Default)]
struct Tasks {
    subscribers: Slab<StdArc<TaskSubscriber>>,
    /// Publishers that wait for the pump, and how far behind each lets readers be. Bounded by the requests in
    /// flight.
    paced: Slab<(StdArc<AtomicWaker>, u64)>,
}

/// A named, ordered stream of events.
#[derive(Debug)]
pub struct Session {
    name: SessionName,
    log: Mutex<Log>,
    /// Copy of the log's `next`, for a look without the lock.
    head: AtomicU64,
    last_activity: AtomicU64,
    subscribers: AtomicU32,
    tasks: Mutex<Tasks>,
    /// Task subscribers in `tasks`: spares publishers the lock.
    task_count: AtomicU32,
    /// Publishers in `tasks.paced`: spares the pump the lock.
    paced: AtomicU32,
    slots: Box<[ShardSlot]>,
    home: usize,
    /// Counted as open until the last reference goes.
    _entry: Entry,
    /// Charged until the last reference goes.
    _permit: Permit,
}

impl Session {
    /// A session with an empty log, known to `shards` shards.
    #[must_use]
    pub fn new(
        name: SessionName,
        log: Log,
        shards: usize,
        now: Tick,
        entry: Entry,
        permit: Permit,
    ) -> Arc<Session> {
        Arc::new(Session {
            name,
            home: usize::try_from(log.epoch().bits()).unwrap_or(0) % shards.max(1),
            head: AtomicU64::new(log.next()),
            log: Mutex::new(log),
            last_activity: AtomicU64::new(now.0),
            subscribers: AtomicU32::new(0),
            tasks: Mutex::new(Tasks::default()),
            task_count: AtomicU32::new(0),
            paced: AtomicU32::new(0),
            slots: (0..shards).map(|_| ShardSlot::new()).collect(),
            _entry: entry,
            _permit: permit,
        })
    }

    /// What such a session is charged beside its frames, bytes.
    #[must_use]
    pub fn cost(name: &SessionName, shards: usize) -> usize {
        SESSION_OVERHEAD_BYTES + name.as_str().len() + shards * size_of::<ShardSlot>()
    }

    /// The session's name.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// Runs `with` under the log's lock and republishes its head.
    pub fn with_log<R>(&self, with: impl FnOnce(&mut Log) -> R) -> R {
        let mut log = self.log.lock();
        let result = with(&mut log);
        self.head.store(log.next(), Ordering::SeqCst);
        result
    }

    /// Number of the event that will be published next.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    /// What shard `index` keeps here.
    pub fn slot(&self, index: usize) -> &ShardSlot {
        &self.slots[index]
    }

    /// All shards' slots, in order.
    pub fn slots(&self) -> &[ShardSlot] {
        &self.slots
    }

    /// Notes that somebody published, came or went.
    pub fn touch(&self, now: Tick) {
        self.last_activity.fetch_max(now.0, Ordering::SeqCst);
    }

    /// When somebody last published, came or went.
    pub fn last_activity(&self) -> Tick {
        Tick(self.last_activity.load(Ordering::SeqCst))
    }

    /// Subscribers of either kind.
    pub fn subscribers(&self) -> u32 {
        self.subscribers.load(Ordering::SeqCst)
    }

    /// Counts a subscriber in. Only under the registry's lock, so that no session is removed under it.
    pub(crate) fn join(&self) {
        self.subscribers.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a subscriber out.
    pub fn leave(&self, now: Tick) {
        self.touch(now);
        self.subscribers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Adds a task subscriber; the key takes it out again.
    pub fn add_task(&self, subscriber: StdArc<TaskSubscriber>) -> usize {
        let key = self.tasks.lock().subscribers.insert(subscriber);
        self.task_count.fetch_add(1, Ordering::SeqCst);
        key
    }

    /// Takes a task subscriber out.
    pub fn remove_task(&self, key: usize) {
        let mut tasks = self.tasks.lock();
        if tasks.subscribers.try_remove(key).is_some() {
            self.task_count.fetch_sub(1, Ordering::SeqCst);
        }
        if tasks.subscribers.is_empty() {
            tasks.subscribers.shrink_to_fit();
        }
    }

    /// Whether task subscribers read this session.
    pub fn has_tasks(&self) -> bool {
        self.task_count.load(Ordering::SeqCst) > 0
    }

    /// Copies the task subscribers out, so that they can be woken without the lock.
    pub fn tasks(&self, into: &mut Vec<StdArc<TaskSubscriber>>) {
        into.extend(self.tasks.lock().subscribers.iter().map(|(_, task)| StdArc::clone(task)));
    }

    /// The oldest event that any subscriber still needs; the head if all have caught up.
    pub fn oldest_needed(&self) -> u64 {
        let sockets = self.slots.iter().map(|slot| slot.oldest.load(Ordering::SeqCst)).min();
        let tasks = self.tasks.lock();
        // One that was closed reads no more, whether its peer takes the goodbye or not.
        let open = tasks.subscribers.iter().filter(|(_, task)| task.closed().is_none());
        let tasks = open.map(|(_, task)| task.position()).min();
        self.head().min(sockets.unwrap_or(u64::MAX)).min(tasks.unwrap_or(u64::MAX))
    }

    /// The shard that looks after what belongs to no socket: tasks and waiting publishers.
    pub fn home(&self) -> usize {
        self.home
    }

    /// How far the slowest subscriber that still reads is behind the head, events.
    pub fn backlog(&self, now: Tick) -> u64 {
        let head = self.head();
        let mut slowest = self.slots.iter().map(|slot| slot.served.load(Ordering::SeqCst)).min();
        let tasks = self.tasks.lock();
        for (_, task) in &tasks.subscribers {
            let reading = now.0.saturating_sub(task.last_progress().0) < READING_PATIENCE_MS;
            if reading {
                slowest = Some(slowest.unwrap_or(u64::MAX).min(task.position()));
            }
        }
        head.saturating_sub(slowest.unwrap_or(u64::MAX))
    }

    /// Whether anybody's subscribers, of another shard or tasks, have been served up to `next`.
    pub fn others_have(&self, shard: usize, next: u64) -> bool {
        let has = |slot: &ShardSlot| {
            let served = slot.served.load(Ordering::SeqCst);
            served >= next && served != u64::MAX
        };
        let shards = self.slots.iter().enumerate().any(|(index, slot)| index != shard && has(slot));
        shards || self.tasks.lock().subscribers.iter().any(|(_, task)| task.position() >= next)
    }

    /// Adds a publisher that waits until no reader is further behind than `near`; the key takes it out again.
    pub fn add_paced(&self, waker: StdArc<AtomicWaker>, near: u64) -> usize {
        let key = self.tasks.lock().paced.insert((waker, near));
        self.paced.fetch_add(1, Ordering::SeqCst);
        key
    }

    /// Takes a waiting publisher out.
    pub fn remove_paced(&self, key: usize) {
        let mut tasks = self.tasks.lock();
        if tasks.paced.try_remove(key).is_some() {
            self.paced.fetch_sub(1, Ordering::SeqCst);
        }
        if tasks.paced.is_empty() {
            tasks.paced.shrink_to_fit();
        }
    }

    /// Whether publishers wait for the pump.
    pub fn has_paced(&self) -> bool {
        self.paced.load(Ordering::SeqCst) > 0
    }

    /// How far behind readers may be without holding any waiting publisher back; `None`: none waits.
    pub fn near(&self) -> Option<u64> {
        self.tasks.lock().paced.iter().map(|(_, (_, near))| *near).min()
    }

    /// Copies the waiting publishers' wakers out, so that they can be woken without the lock.
    pub fn paced(&self, into: &mut Vec<StdArc<AtomicWaker>>) {
        into.extend(self.tasks.lock().paced.iter().map(|(_, (waker, _))| StdArc::clone(waker)));
    }
}
