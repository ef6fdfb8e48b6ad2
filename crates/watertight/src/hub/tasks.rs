//! All streams without a socket of their own: for listings, for operators, and their timers.
//!
//! One table and one wheel under one lock, which is held for a look-up, a page, or an advance of the wheel,
//! never while a stream's own state is read. The keeper fires the timers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight_core::{Table, Tick, Wheel};

use crate::subscription::TaskRecord;

#[derive(Debug)]
struct Inside {
    records: Table<Arc<TaskRecord>>,
    wheel: Wheel,
}

/// The streams without a socket of their own. Bounded by the budget: each is charged.
#[derive(Debug)]
pub(crate) struct Tasks {
    inside: Mutex<Inside>,
    /// Told when the last has gone.
    emptied: Notify,
}

impl Tasks {
    pub(super) fn new(now: Tick) -> Tasks {
        let inside = Inside { records: Table::default(), wheel: Wheel::new(now) };
        Tasks { inside: Mutex::new(inside), emptied: Notify::new() }
    }

    /// Puts a record in, with its timer.
    pub(crate) fn insert(&self, record: &Arc<TaskRecord>, at: Tick) {
        let mut inside = self.inside.lock();
        let key = inside.records.insert(Arc::clone(record));
        record.key.store(key, Ordering::SeqCst);
        if at.is_set() {
            inside.wheel.arm(key, at);
        }
    }

    /// Arms a record's timer, if the record is still here.
    pub(crate) fn arm(&self, record: &TaskRecord, at: Tick) {
        let mut inside = self.inside.lock();
        if let Some(key) = inside.key_of(record) {
            inside.wheel.arm(key, at);
        }
    }

    /// Takes a record out, with its timer.
    pub(crate) fn remove(&self, record: &TaskRecord) {
        let mut inside = self.inside.lock();
        let Some(key) = inside.key_of(record) else { return };
        inside.wheel.disarm(key);
        inside.records.remove(key);
        if let Some((from, to)) = inside.records.compact_one() {
            if let Some(at) = inside.wheel.armed_at(from) {
                inside.wheel.disarm(from);
                inside.wheel.arm(to, at);
            }
            if let Some(moved) = inside.records.get(to) {
                moved.key.store(to, Ordering::SeqCst);
            }
        }
        let end = inside.records.end();
        inside.wheel.limit_keys(end);
        if inside.records.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// The records whose timer is due at `now`.
    pub(super) fn due(&self, now: Tick) -> Vec<Arc<TaskRecord>> {
        let mut inside = self.inside.lock();
        let Inside { records, wheel } = &mut *inside;
        let mut due = Vec::new();
        wheel.advance(now, |key| due.extend(records.get(key).map(Arc::clone)));
        due
    }

    /// When a timer is due next.
    pub(super) fn next(&self) -> Option<Tick> {
        self.inside.lock().wheel.next()
    }

    /// All records.
    pub(crate) fn all(&self) -> Vec<Arc<TaskRecord>> {
        self.inside.lock().records.iter_from(0).map(|(_, record)| Arc::clone(record)).collect()
    }

    /// Up to `limit` records from a number on, with their numbers in the table.
    pub(crate) fn page(&self, from: u32, limit: usize) -> Vec<(u32, Arc<TaskRecord>)> {
        let inside = self.inside.lock();
        let records = inside.records.iter_from(from).take(limit);
        records.map(|(key, record)| (key, Arc::clone(record))).collect()
    }

    /// The record with this connection number.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<TaskRecord>> {
        let inside = self.inside.lock();
        let mut records = inside.records.iter_from(0);
        records.find(|(_, record)| record.number() == number).map(|(_, record)| Arc::clone(record))
    }

    /// Completes when there is none.
    pub(super) async fn gone(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.inside.lock().records.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Inside {
    fn key_of(&self, record: &TaskRecord) -> Option<u32> {
        let key = record.key.load(Ordering::SeqCst);
        self.records.get(key).is_some_and(|known| std::ptr::eq(&**known, record)).then_some(key)
    }
}
