//! A session: a named log, who reads it, and how far its pumps have come.
//!
//! The log has a lock of its own, held for arithmetic and reference counts only. Subscribers of two kinds read
//! it: sockets, grouped per shard and walked by the shard's pump, and tasks, woken by it.

use std::sync::{Arc as StdArc, OnceLock};

use atomic_waker::AtomicWaker;
use slab::Slab;

use crate::budget::Permit;
use crate::ledger::Entry;
use crate::limits::{READING_PATIENCE_MS, SESSION_OVERHEAD_BYTES};
use crate::log::Log;
use crate::name::SessionName;
use crate::prefetch::prefetch;
use crate::source::Attached;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::table::Table;
use crate::time::Tick;

/// No group of this session in that shard.
pub const NO_GROUP: u32 = u32::MAX;

/// What a shard knows about a session. It is kept in the session, so that publishers find it without a look-up.
#[derive(Debug)]
pub struct ShardView {
    /// Set while the session stands in the shard's queue.
    dirty: AtomicBool,
    /// The shard's group of this session's sockets; [`NO_GROUP`] without any. Written by the shard only.
    group: AtomicU32,
    /// The event up to which every reading socket of the shard was served; publishers are paced by it.
    served: AtomicU64,
    /// The oldest event that any socket of the shard still needs; `u64::MAX` without any.
    oldest: AtomicU64,
    /// Set while the shard looks after publishers that wait for this session's readers.
    paced: AtomicBool,
}

impl ShardView {
    fn new() -> ShardView {
        ShardView {
            dirty: AtomicBool::new(false),
            group: AtomicU32::new(NO_GROUP),
            served: AtomicU64::new(u64::MAX),
            oldest: AtomicU64::new(u64::MAX),
            paced: AtomicBool::new(false),
        }
    }

    /// The shard begins to look after waiting publishers. `true`: it did not before.
    pub fn begin_paced(&self) -> bool {
        !self.paced.swap(true, Ordering::SeqCst)
    }

    /// The shard no longer looks after waiting publishers.
    pub fn end_paced(&self) {
        self.paced.store(false, Ordering::SeqCst);
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

    /// The oldest event that a socket of the shard still needs, as it was last looked at.
    pub fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::SeqCst)
    }

    /// The shard's group got another number.
    pub fn set_group_number(&self, group: u32) {
        self.group.store(group, Ordering::SeqCst);
    }

    /// Says which event is the oldest that a socket of the shard still needs.
    pub fn set_oldest(&self, next: u64) {
        self.oldest.store(next, Ordering::SeqCst);
    }

    /// A socket joined that needs events from `next` on. One that has caught up (`is_live`) slows publishers down
    /// from the moment it joins, not only after the first pass over the group.
    pub fn joined(&self, next: u64, is_live: bool) {
        self.oldest.fetch_min(next, Ordering::SeqCst);
        if is_live {
            self.served.fetch_min(next, Ordering::SeqCst);
        }
    }

    /// Sets the event number (exclusive) up to which the shard's reading sockets were served; `u64::MAX`: no
    /// socket slows publishers down.
    pub fn set_served(&self, next: u64) {
        self.served.store(next, Ordering::SeqCst);
    }

    /// Marks the session dirty. `true`: it was clean, and the caller must queue it.
    pub fn mark(&self) -> bool {
        !self.dirty.swap(true, Ordering::SeqCst)
    }

    /// Whether the session is marked dirty: whoever takes it makes it clean before reading its log.
    pub fn is_marked(&self) -> bool {
        self.dirty.load(Ordering::SeqCst)
    }

    /// Marks the session clean; call before reading its log.
    pub fn clear(&self) {
        self.dirty.store(false, Ordering::SeqCst);
    }
}

/// A subscriber that is a task: an HTTP/2 body, a long-poll request, a Rust stream. Its [`crate::Life`]
/// decides when it ends; here is what publishers and pumps look at.
#[derive(Debug)]
pub struct TaskSubscriber {
    waker: AtomicWaker,
    /// The next event it reads; `u64::MAX` once it reads no more.
    next: AtomicU64,
    progressed: AtomicU64,
    /// Since when something waits for it that it has not taken; `u64::MAX` if nothing does.
    offered_since: AtomicU64,
    /// Its number among the session's tasks. Written under their lock only.
    key: AtomicU32,
}

impl TaskSubscriber {
    /// A subscriber that stands at event `next`.
    #[must_use]
    pub fn new(next: u64, now: Tick) -> StdArc<TaskSubscriber> {
        StdArc::new(TaskSubscriber {
            waker: AtomicWaker::new(),
            next: AtomicU64::new(next),
            progressed: AtomicU64::new(now.0),
            offered_since: AtomicU64::new(u64::MAX),
            key: AtomicU32::new(u32::MAX),
        })
    }

    /// Where the task is woken.
    pub fn waker(&self) -> &AtomicWaker {
        &self.waker
    }

    /// Something waits for it since `now`, or since before; the task is woken.
    pub fn offer(&self, now: Tick) {
        self.offered_since.fetch_min(now.0, Ordering::SeqCst);
        self.waker.wake();
    }

    /// It takes what waits. Call before looking for it: what is offered from here on is not forgotten.
    pub fn takes(&self) {
        self.offered_since.store(u64::MAX, Ordering::SeqCst);
    }

    /// Since when something waits for it that it has not taken; [`Tick::NEVER`] if nothing does.
    pub fn offered_since(&self) -> Tick {
        Tick(self.offered_since.load(Ordering::SeqCst))
    }

    /// What waits counts as offered at `now` at the earliest.
    pub fn offered_no_earlier(&self, now: Tick) {
        // Nothing is offered: that stays so.
        let later = |since: u64| (since < now.0).then_some(now.0);
        let _ = self.offered_since.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// Notes that the task reads on at `next`; `more`: something waits there already.
    pub fn progress(&self, next: u64, more: bool, now: Tick) {
        self.next.store(next, Ordering::SeqCst);
        self.progressed.store(now.0, Ordering::SeqCst);
        if more {
            self.offered_since.fetch_min(now.0, Ordering::SeqCst);
        }
    }

    /// It reads no more events, whether it takes its closing event or not: nothing is kept for it.
    pub fn needs_nothing(&self) {
        self.next.store(u64::MAX, Ordering::SeqCst);
    }

    /// The next event it reads; `u64::MAX` once it reads no more.
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// When it last came to read.
    pub fn last_progress(&self) -> Tick {
        Tick(self.progressed.load(Ordering::SeqCst))
    }
}

#[derive(Debug, Default)]
struct Tasks {
    subscribers: Table<StdArc<TaskSubscriber>>,
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
    /// `None` while there are none: most sessions are read by sockets only.
    tasks: Mutex<Option<Box<Tasks>>>,
    /// Task subscribers in `tasks`: spares publishers the lock.
    task_count: AtomicU32,
    /// Publishers in `tasks.paced`: spares the pump the lock.
    paced: AtomicU32,
    views: Box<[ShardView]>,
    home: usize,
    /// What feeds it by itself while it has subscribers, if anything does; for as long as the session is there.
    attached: OnceLock<StdArc<dyn Attached>>,
    /// Charged until the last reference goes.
    _permit: Permit,
    /// Counted as open until the last reference goes. Last: what the ledger calls closed is charged no more.
    _entry: Entry,
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
            tasks: Mutex::new(None),
            task_count: AtomicU32::new(0),
            paced: AtomicU32::new(0),
            views: (0..shards).map(|_| ShardView::new()).collect(),
            attached: OnceLock::new(),
            _entry: entry,
            _permit: permit,
        })
    }

    /// What such a session is charged beside its frames, bytes.
    #[must_use]
    pub fn cost(name: &SessionName, shards: usize) -> usize {
        SESSION_OVERHEAD_BYTES + name.as_str().len() + shards * size_of::<ShardView>()
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

    /// Asks for what a publish touches beside the session itself.
    pub fn prefetch(&self) {
        prefetch(&*self.views);
    }

    /// Number of the event that will be published next.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    /// What shard `index` keeps here.
    pub fn view(&self, index: usize) -> &ShardView {
        &self.views[index]
    }

    /// All shards' views, in order.
    pub fn views(&self) -> &[ShardView] {
        &self.views
    }

    /// Notes a publish, or a subscriber that came or left.
    pub fn touch(&self, now: Tick) {
        self.last_activity.fetch_max(now.0, Ordering::SeqCst);
    }

    /// When an event was last published, or a subscriber last came or left.
    pub fn last_activity(&self) -> Tick {
        Tick(self.last_activity.load(Ordering::SeqCst))
    }

    /// Subscribers of either kind.
    pub fn subscribers(&self) -> u32 {
        self.subscribers.load(Ordering::SeqCst)
    }

    /// Counts a subscriber in. Only under the registry's lock, so that no session is removed under it; or where no
    /// registry knows the session.
    pub fn join(&self) {
        self.subscribers.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a subscriber out.
    pub fn leave(&self, now: Tick) {
        self.touch(now);
        let before = self.subscribers.fetch_sub(1, Ordering::SeqCst);
        if before == 1
            && let Some(attached) = self.attached()
        {
            attached.state().last_has_left(now);
        }
    }

    /// What feeds it; `make` makes it, if nothing did so far.
    pub fn attach(&self, make: impl FnOnce() -> StdArc<dyn Attached>) -> &StdArc<dyn Attached> {
        self.attached.get_or_init(make)
    }

    /// Errors that its source has had, if it has one.
    pub fn source_errors(&self) -> u64 {
        self.attached().map_or(0, |attached| attached.state().errors())
    }

    /// What feeds it by itself, if anything does.
    pub fn attached(&self) -> Option<&StdArc<dyn Attached>> {
        self.attached.get()
    }

    /// Runs `with` on the tasks, which are there only as long as there are any.
    fn with_tasks<R>(&self, with: impl FnOnce(&mut Tasks) -> R) -> R {
        let mut tasks = self.tasks.lock();
        let result = with(tasks.get_or_insert_default());
        if tasks.as_ref().is_some_and(|tasks| tasks.subscribers.is_empty() && tasks.paced.is_empty()) {
            *tasks = None;
        }
        result
    }

    /// Folds `fold` over the task subscribers; nothing is allocated where there are none.
    fn fold_tasks<T>(&self, first: T, mut fold: impl FnMut(T, &StdArc<TaskSubscriber>) -> T) -> T {
        let tasks = self.tasks.lock();
        let tasks = tasks.iter().flat_map(|tasks| tasks.subscribers.iter_from(0));
        tasks.fold(first, |so_far, (_, task)| fold(so_far, task))
    }

    /// Adds a task subscriber.
    pub fn add_task(&self, subscriber: StdArc<TaskSubscriber>) {
        self.with_tasks(|tasks| {
            let key = tasks.subscribers.insert(StdArc::clone(&subscriber));
            subscriber.key.store(key, Ordering::SeqCst);
        });
        self.task_count.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes a task subscriber out.
    pub fn remove_task(&self, subscriber: &StdArc<TaskSubscriber>) {
        self.with_tasks(|tasks| {
            let key = subscriber.key.load(Ordering::SeqCst);
            if !tasks.subscribers.get(key).is_some_and(|known| StdArc::ptr_eq(known, subscriber)) {
                return;
            }
            tasks.subscribers.remove(key);
            self.task_count.fetch_sub(1, Ordering::SeqCst);
            if let Some((_, to)) = tasks.subscribers.compact_one()
                && let Some(moved) = tasks.subscribers.get(to)
            {
                moved.key.store(to, Ordering::SeqCst);
            }
        });
    }

    /// How many task subscribers read this session.
    pub fn task_count(&self) -> u32 {
        self.task_count.load(Ordering::SeqCst)
    }

    /// Whether task subscribers read this session.
    pub fn has_tasks(&self) -> bool {
        self.task_count.load(Ordering::SeqCst) > 0
    }

    /// Copies the task subscribers out, so that they can be woken without the lock.
    pub fn tasks(&self, into: &mut Vec<StdArc<TaskSubscriber>>) {
        self.fold_tasks((), |(), task| into.push(StdArc::clone(task)));
    }

    /// The oldest event that any subscriber still needs; the head if all have caught up.
    pub fn oldest_needed(&self) -> u64 {
        let sockets = self.views.iter().map(|view| view.oldest.load(Ordering::SeqCst)).min();
        let tasks = self.fold_tasks(u64::MAX, |oldest, task| oldest.min(task.position()));
        self.head().min(sockets.unwrap_or(u64::MAX)).min(tasks)
    }

    /// The shard that looks after what belongs to no socket: tasks and waiting publishers.
    pub fn home(&self) -> usize {
        self.home
    }

    /// How far the slowest subscriber that still reads is behind the head, events.
    pub fn backlog(&self, now: Tick) -> u64 {
        let sockets = self.views.iter().map(|view| view.served.load(Ordering::SeqCst)).min();
        let slowest = self.fold_tasks(sockets.unwrap_or(u64::MAX), |slowest, task| {
            let reading = now.0.saturating_sub(task.last_progress().0) < READING_PATIENCE_MS;
            if reading { slowest.min(task.position()) } else { slowest }
        });
        self.head().saturating_sub(slowest)
    }

    /// Whether subscribers of another shard, or tasks, have been served up to `next`.
    pub fn others_have(&self, shard: usize, next: u64) -> bool {
        let has = |view: &ShardView| {
            let served = view.served.load(Ordering::SeqCst);
            served >= next && served != u64::MAX
        };
        let shards = self.views.iter().enumerate().any(|(index, view)| index != shard && has(view));
        shards || self.fold_tasks(false, |any, task| any || (next..u64::MAX).contains(&task.position()))
    }

    /// Adds a publisher that waits until no reader is further behind than `near`; the key takes it out again.
    pub fn add_paced(&self, waker: StdArc<AtomicWaker>, near: u64) -> usize {
        let key = self.with_tasks(|tasks| tasks.paced.insert((waker, near)));
        self.paced.fetch_add(1, Ordering::SeqCst);
        key
    }

    /// Takes a waiting publisher out.
    pub fn remove_paced(&self, key: usize) {
        let is_out = self.with_tasks(|tasks| tasks.paced.try_remove(key).is_some());
        if is_out {
            self.paced.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether publishers wait for the pump.
    pub fn has_paced(&self) -> bool {
        self.paced.load(Ordering::SeqCst) > 0
    }

    /// How far behind readers may be without holding any waiting publisher back; `None`: none waits.
    pub fn near(&self) -> Option<u64> {
        self.tasks.lock().as_ref()?.paced.iter().map(|(_, (_, near))| *near).min()
    }

    /// Whether a waiting publisher may go on when no reader is further behind than `backlog`. One that waits for
    /// bytes (`near` is 0) must look again itself: it cannot know how many events those bytes are.
    pub fn is_near_enough(&self, backlog: u64) -> bool {
        let tasks = self.tasks.lock();
        let mut paced = tasks.iter().flat_map(|tasks| tasks.paced.iter());
        paced.any(|(_, (_, near))| *near == 0 || backlog <= *near)
    }

    /// Copies the waiting publishers' wakers out, so that they can be woken without the lock.
    pub fn paced(&self, into: &mut Vec<StdArc<AtomicWaker>>) {
        let tasks = self.tasks.lock();
        let paced = tasks.iter().flat_map(|tasks| tasks.paced.iter());
        into.extend(paced.map(|(_, (waker, _))| StdArc::clone(waker)));
    }
}
