//! Permits that are shared fairly by address: for requests in flight, and for what is kept back.
//!
//! While at least a quarter of the permits is free anybody takes one. The last quarter is for addresses that
//! hold less than an eighth of all, so that one address never shuts out the others. `None` is all Unix peers together.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Room for so many addresses is kept while there are none.
const ADDRESSES_KEPT: usize = 64;

/// A number of permits. Cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct FairPermits(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Waiters of all addresses, at most as many as there are permits.
    waiting: usize,
    next_waiter: u64,
    /// Addresses that hold a permit or wait for one; an address with neither is taken out. There are at most twice as many
    /// as permits: nobody makes the table slow by choosing addresses.
    addresses: HashMap<Option<IpAddr>, OfAddress>,
    /// Addresses with waiters, in the order of their turns.
    turns: VecDeque<Option<IpAddr>>,
}

#[derive(Debug, Default)]
struct OfAddress {
    held: usize,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    grant: oneshot::Sender<FairPermit>,
}

/// One permit; dropping it gives it to whoever waits.
#[derive(Debug)]
#[must_use = "dropping the permit gives it back at once"]
pub(super) struct FairPermit {
    /// `None`: it was passed on.
    pool: Option<Arc<Pool>>,
    address: Option<IpAddr>,
}

impl FairPermits {
    pub(super) fn new(max: usize) -> FairPermits {
        let state = State {
            free: max,
            waiting: 0,
            next_waiter: 0,
            addresses: HashMap::new(),
            turns: VecDeque::new(),
        };
        FairPermits(Arc::new(Pool { max, state: Mutex::new(state) }))
    }

    /// A permit for `address`, if one can be had at once.
    pub(super) fn try_acquire(&self, address: Option<IpAddr>) -> Option<FairPermit> {
        let taken = self.0.state.lock().take(self.0.max, address);
        taken.then(|| FairPermit::new(&self.0, address))
    }

    /// A permit for `address`, waiting at most so long. `None`: none came free, or too many wait already.
    pub(super) async fn acquire(&self, address: Option<IpAddr>, patience: Duration) -> Option<FairPermit> {
        let (mut waiting, granted) = {
            let mut state = self.0.state.lock();
            if state.take(self.0.max, address) {
                return Some(FairPermit::new(&self.0, address));
            }
            let (grant, granted) = oneshot::channel();
            let number = state.enqueue(self.0.max, address, grant)?;
            (WaitGuard { pool: &self.0, address, number, granted: false }, granted)
        };
        let permit = timeout(patience, granted).await.ok()?.ok();
        waiting.granted = permit.is_some();
        permit
    }
}

/// Takes a waiter that gave up out of its queue.
struct WaitGuard<'p> {
    pool: &'p Arc<Pool>,
    address: Option<IpAddr>,
    number: u64,
    granted: bool,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        if !self.granted {
            self.pool.state.lock().forget_waiter(self.address, self.number);
        }
    }
}

impl State {
    /// Whether an address that holds so many may take one of `free`.
    fn may_take(free: usize, max: usize, held: usize) -> bool {
        free > 0 && (free * 4 >= max || held * 8 < max)
    }

    fn take(&mut self, max: usize, address: Option<IpAddr>) -> bool {
        let entry = self.addresses.entry(address);
        let held = if let Entry::Occupied(of) = &entry { of.get().held } else { 0 };
        let may = State::may_take(self.free, max, held);
        if may {
            self.free -= 1;
            entry.or_default().held += 1;
        }
        may
    }

    fn enqueue(
        &mut self,
        max: usize,
        address: Option<IpAddr>,
        grant: oneshot::Sender<FairPermit>,
    ) -> Option<u64> {
        let of_address = self.addresses.get(&address).map_or(0, |of| of.waiters.len());
        if self.waiting >= max || of_address >= max.div_ceil(4) {
            return None;
        }
        let number = self.next_waiter;
        self.next_waiter += 1;
        self.waiting += 1;
        self.addresses.entry(address).or_default().waiters.push_back(Waiter { number, grant });
        if of_address == 0 {
            self.turns.push_back(address);
        }
        Some(number)
    }

    /// Takes a permit back and finds who has it next: at most eight addresses, which hold an eighth each, are
    /// passed over.
    fn give_back(&mut self, max: usize, address: Option<IpAddr>) -> Option<(Option<IpAddr>, Waiter)> {
        self.free += 1;
        self.change(address, |of| of.held -= 1);
        for _ in 0..self.turns.len() {
            let next = self.turns.pop_front()?;
            let of = self.addresses.get_mut(&next)?;
            if !State::may_take(self.free, max, of.held) {
                self.turns.push_back(next);
                continue;
            }
            let waiter = of.waiters.pop_front()?;
            of.held += 1;
            if !of.waiters.is_empty() {
                self.turns.push_back(next);
            }
            self.free -= 1;
            self.waiting -= 1;
            return Some((next, waiter));
        }
        None
    }

    fn forget_waiter(&mut self, address: Option<IpAddr>, number: u64) {
        let Some(of) = self.addresses.get_mut(&address) else { return };
        let Some(at) = of.waiters.iter().position(|waiter| waiter.number == number) else { return };
        of.waiters.remove(at);
        self.waiting -= 1;
        if of.waiters.is_empty() {
            self.turns.retain(|turn| *turn != address);
        }
        self.change(address, |_| {});
    }

    /// Changes what is known of an address, and forgets it if it neither holds a permit nor waits for one.
    fn change(&mut self, address: Option<IpAddr>, change: impl FnOnce(&mut OfAddress)) {
        let Entry::Occupied(mut of) = self.addresses.entry(address) else { return };
        change(of.get_mut());
        if of.get().held == 0 && of.get().waiters.is_empty() {
            of.remove();
            // A small table stays: else each request of a quiet hub would make one.
            if self.addresses.is_empty() && self.addresses.capacity() > ADDRESSES_KEPT {
                self.addresses.shrink_to_fit();
                self.turns.shrink_to_fit();
            }
        }
    }
}

impl FairPermit {
    fn new(pool: &Arc<Pool>, address: Option<IpAddr>) -> FairPermit {
        FairPermit { pool: Some(Arc::clone(pool)), address }
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        let mut from = self.address;
        loop {
            let next = pool.state.lock().give_back(pool.max, from);
            let Some((address, waiter)) = next else { return };
            let Err(mut refused) = waiter.grant.send(FairPermit::new(&pool, address)) else { return };
            // That waiter has just given up: its permit is passed to the next here, not by its own drop.
            refused.pool = None;
            from = address;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_address_leaves_the_last_quarter_to_others_and_these_share_it_by_eighths() {
        let permits = FairPermits::new(64);
        let greedy: Vec<_> = std::iter::from_fn(|| permits.try_acquire(address(1))).collect();
        assert_eq!(greedy.len(), 49, "it takes while a quarter is free");
        let second: Vec<_> = std::iter::from_fn(|| permits.try_acquire(address(2))).collect();
        assert_eq!(second.len(), 8, "an eighth");
        let third: Vec<_> = std::iter::from_fn(|| permits.try_acquire(address(3))).collect();
        assert_eq!(third.len(), 7, "what is left");
        drop(greedy);
        assert!(permits.try_acquire(address(1)).is_some());
        drop((second, third));
        assert!(permits.0.state.lock().addresses.is_empty(), "nothing is remembered of who has gone");
        assert_eq!(permits.0.state.lock().free, 64);
    }

    #[test]
    fn one_permit_is_enough_for_one_address() {
        let permits = FairPermits::new(1);
        let one = permits.try_acquire(address(1));
        assert!(one.is_some() && permits.try_acquire(address(2)).is_none());
        drop(one);
        assert!(permits.try_acquire(address(2)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_next_permit_in_turn_and_an_address_with_many_waiters_gets_one_turn() {
        let permits = FairPermits::new(2);
        let held: Vec<_> = (0..2).map(|last| permits.try_acquire(address(last)).unwrap()).collect();
        let mut greedy = pin!(permits.acquire(address(5), LONG));
        let mut patient = pin!(permits.acquire(address(6), LONG));
        assert!(poll(greedy.as_mut()).is_pending() && poll(patient.as_mut()).is_pending());
        let mut again = pin!(permits.acquire(address(5), LONG));
        assert!(matches!(poll(again.as_mut()), Poll::Ready(None)), "a quarter may wait for one address");
        drop(held);
        let first = poll(greedy.as_mut());
        assert!(matches!(first, Poll::Ready(Some(_))) && poll(patient.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_leaves_nothing_and_loses_no_permit() {
        let permits = FairPermits::new(1);
        let held = permits.try_acquire(address(1)).unwrap();
        assert!(permits.acquire(address(2), LONG).await.is_none());
        {
            let mut given_up = pin!(permits.acquire(address(2), LONG));
            assert!(poll(given_up.as_mut()).is_pending());
            drop(held);
            // The permit was sent to a waiter that no longer waits.
        }
        let state = permits.0.state.lock();
        assert_eq!((state.free, state.waiting, state.addresses.len(), state.turns.len()), (1, 0, 0, 0));
    }
}
