//! What has come from Redis for one reader and waits for it: bounded in messages and bytes, charged to the budget.
//!
//! What is told beside messages (a [`Notice`]) stands at its point of the order, and cannot grow: each message carries what
//! follows it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use watertight_core::{Budget, Owner, Permit};

/// How much one reader may leave waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingLimits {
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
}

/// A ring that is empty again keeps room for no more than so many.
const EMPTY_CAPACITY_MAX: usize = 64;

/// Of the budget, in eighths: beyond it, a reader that can be given the rest later keeps no more waiting than [`SHORT_BYTES`], so
/// that whoever takes nothing does not hold all memory while others get none.
const SHORT_EIGHTHS: usize = 7;
const SHORT_BYTES: usize = 64 << 10;

/// What waits for one reader. The connection writes, the reader's guard reads.
#[derive(Debug)]
pub(super) struct Ring<M> {
    limits: RingLimits,
    budget: Arc<Budget>,
    state: Mutex<Waiting<M>>,
    /// Something can be taken.
    ready: Notify,
    /// Something was not taken up, or not even asked for, for want of room, and will be read again.
    is_blocked: AtomicBool,
}

#[derive(Debug)]
struct Waiting<M> {
    /// What is told before the first message.
    head: Notice,
    messages: VecDeque<Held<M>>,
    bytes: usize,
}

#[derive(Debug)]
struct Held<M> {
    message: M,
    permit: Permit,
    /// What is told after it.
    after: Notice,
}

/// What is told between two messages. Taken in the order of its fields.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// So many messages were dropped because the reader was too slow.
    pub(super) overflow: u64,
    /// Messages may be missing: how many, if that is known.
    pub(super) missing: Option<Option<u64>>,
    /// How the connection stands since then.
    pub(super) link: Option<Link>,
}

/// How a reader's connection to Redis stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none, and this is why.
    Waiting(Arc<str>),
    /// There is one (again); after `interrupted` messages may be missing.
    Reading { interrupted: bool },
}

/// Why a message is not taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Its reader has to take something first.
    Full,
    /// The hub has no memory for it.
    NoMemory,
}

/// One thing out of a ring.
#[derive(Debug)]
pub(super) enum Taken<M> {
    Overflow(u64),
    Missing(Option<u64>),
    Link(Link),
    Message(M),
}

impl Notice {
    pub(super) fn link(link: Link) -> Notice {
        Notice { link: Some(link), ..Notice::default() }
    }

    pub(super) fn missing(count: Option<u64>) -> Notice {
        Notice { missing: Some(count), ..Notice::default() }
    }

    /// Tells both in one: the later state stands, and nothing that is missing is forgotten.
    fn add(&mut self, later: Notice) {
        self.overflow = self.overflow.saturating_add(later.overflow);
        self.missing = match (self.missing, later.missing) {
            (Some(one), Some(other)) => Some(one.zip(other).map(|(one, other)| one.saturating_add(other))),
            (one, other) => one.or(other),
        };
        self.link = match (self.link.take(), later.link) {
            (Some(Link::Reading { interrupted: true }), Some(Link::Reading { .. })) => {
                Some(Link::Reading { interrupted: true })
            }
            (one, other) => other.or(one),
        };
    }

    fn take<M>(&mut self) -> Option<Taken<M>> {
        if self.overflow > 0 {
            return Some(Taken::Overflow(std::mem::take(&mut self.overflow)));
        }
        let missing = self.missing.take().map(Taken::Missing);
        missing.or_else(|| self.link.take().map(Taken::Link))
    }
}

impl<M> Ring<M> {
    pub(super) fn new(limits: RingLimits, budget: &Arc<Budget>) -> Arc<Ring<M>> {
        let state = Waiting { head: Notice::default(), messages: VecDeque::new(), bytes: 0 };
        Arc::new(Ring {
            limits,
            budget: Arc::clone(budget),
            state: Mutex::new(state),
            ready: Notify::new(),
            is_blocked: AtomicBool::new(false),
        })
    }

    /// Tells something beside messages.
    pub(super) fn tell(&self, notice: Notice) {
        self.state.lock().tell(notice);
        self.ready.notify_one();
    }

    /// Adds a message of `bytes`. What it takes the place of is dropped from the oldest on and told as one number before what
    /// remains: whoever is late wants to see what happens now, and the gap is one.
    pub(super) fn push_newest(&self, message: M, bytes: usize) {
        let cost = bytes + size_of::<Held<M>>();
        let mut state = self.state.lock();
        while !state.is_empty() && !state.has_room(cost, &self.limits) {
            state.drop_oldest();
        }
        let fits = state.has_room(cost, &self.limits);
        match fits.then(|| self.budget.try_charge(Owner::Sources, cost)) {
            Some(Ok(permit)) => state.push(message, permit),
            // The hub has no memory for it.
            _ => state.tell(Notice { overflow: 1, ..Notice::default() }),
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Adds a message of `bytes`, if there is room for it: it can be read again later.
    pub(super) fn push_if_room(&self, message: M, bytes: usize) -> Result<(), NotTaken> {
        let cost = bytes + size_of::<Held<M>>();
        let mut state = self.state.lock();
        // One that is larger than the ring passes when it is alone.
        if !state.is_empty() && !state.has_room(cost, &self.limits_now()) {
            self.is_blocked.store(true, Ordering::Relaxed);
            return Err(NotTaken::Full);
        }
        let permit = self.budget.try_charge(Owner::Sources, cost).map_err(|_| NotTaken::NoMemory)?;
        state.push(message, permit);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Whether there is room again after something was not taken up or not asked for; says it once.
    pub(super) fn is_free_again(&self) -> bool {
        // Both under the lock of the state, one after the other: what is refused later is said later.
        self.is_blocked.load(Ordering::Relaxed)
            && self.state.lock().has_half(&self.limits_now())
            && self.is_blocked.swap(false, Ordering::Relaxed)
    }

    /// Whether it may be read on for it: half of it is free. Reading on before that would fetch what cannot be kept. If
    /// not, [`is_free_again`](Ring::is_free_again) will say when: nobody else would ask for the rest.
    pub(super) fn may_be_filled(&self) -> bool {
        let state = self.state.lock();
        let has_half = state.has_half(&self.limits_now());
        if !has_half {
            self.is_blocked.store(true, Ordering::Relaxed);
        }
        has_half
    }

    /// How much may wait while what does not find room is read again later.
    fn limits_now(&self) -> RingLimits {
        let is_short = self.budget.used() > self.budget.critical_bytes() / 8 * SHORT_EIGHTHS;
        let most = if is_short { SHORT_BYTES } else { usize::MAX };
        RingLimits { bytes_max: self.limits.bytes_max.min(most), ..self.limits }
    }

    /// Waits for the next thing. Dropping the future takes nothing.
    pub(super) async fn take(&self) -> Taken<M> {
        loop {
            if let Some(taken) = self.state.lock().take() {
                return taken;
            }
            self.ready.notified().await;
        }
    }
}

impl<M> Waiting<M> {
    fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn has_room(&self, cost: usize, limits: &RingLimits) -> bool {
        self.messages.len() < limits.messages_max && self.bytes.saturating_add(cost) <= limits.bytes_max
    }

    fn has_half(&self, limits: &RingLimits) -> bool {
        self.messages.len() <= limits.messages_max / 2 && self.bytes <= limits.bytes_max / 2
    }

    fn tell(&mut self, notice: Notice) {
        self.messages.back_mut().map_or(&mut self.head, |last| &mut last.after).add(notice);
    }

    fn push(&mut self, message: M, permit: Permit) {
        self.bytes += permit.bytes();
        self.messages.push_back(Held { message, permit, after: Notice::default() });
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.bytes -= oldest.permit.bytes();
            self.head.add(Notice { overflow: 1, ..Notice::default() });
            self.head.add(oldest.after);
        }
    }

    fn take(&mut self) -> Option<Taken<M>> {
        if let Some(told) = self.head.take() {
            return Some(told);
        }
        let first = self.messages.pop_front()?;
        self.bytes -= first.permit.bytes();
        self.head = first.after;
        if self.is_empty() {
            self.messages.shrink_to(EMPTY_CAPACITY_MAX);
        }
        Some(Taken::Message(first.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring of eight small messages with so many in it.
    fn ring(messages: usize) -> Arc<Ring<usize>> {
        let limits = RingLimits { messages_max: 8, bytes_max: 1 << 20 };
        let ring = Ring::new(limits, &Budget::new(1 << 20, 2 << 20));
        (0..messages).for_each(|message| ring.push_if_room(message, 1).unwrap());
        ring
    }

    #[test]
    fn a_reader_that_takes_nothing_leaves_memory_for_the_others() {
        let limits = RingLimits { messages_max: 1_024, bytes_max: 4 << 20 };
        let budget = Budget::new(512 << 10, 1 << 20);
        let (hoarder, other) = (Ring::new(limits, &budget), Ring::new(limits, &budget));
        let filled = (0..).find(|n| hoarder.push_if_room(*n, 10_000).is_err());
        assert!(filled.is_some_and(|n| n > 80), "{filled:?}");
        assert!(!hoarder.may_be_filled() && other.may_be_filled());
        assert_eq!((0..).find(|n| other.push_if_room(*n, 10_000).is_err()), Some(6));
    }

    #[tokio::test]
    async fn whoever_does_not_read_on_because_half_is_taken_is_told_when_it_is_free() {
        // More than half, and less than all: nothing was refused.
        let ring = ring(6);
        assert!(!ring.may_be_filled());
        ring.take().await;
        assert!(!ring.is_free_again(), "five of eight still wait");
        ring.take().await;
        assert!(ring.is_free_again() && ring.may_be_filled());
        ring.take().await;
        assert!(!ring.is_free_again(), "it is said once");
    }

    #[tokio::test]
    async fn what_was_not_taken_up_is_asked_for_again_when_half_is_free() {
        let ring = ring(8);
        assert_eq!(ring.push_if_room(8, 1), Err(NotTaken::Full));
        for _ in 0..3 {
            ring.take().await;
            assert!(!ring.is_free_again());
        }
        ring.take().await;
        assert!(ring.is_free_again());
    }
}
