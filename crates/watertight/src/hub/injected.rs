//! What tests do to a hub: they move its clock, hold its threads, and have them fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use watertight_core::Tick;

use super::{Hub, HubState};
use crate::shard::Work;

/// How often it is looked whether threads keep step, how often between two wake-ups, and how often they are woken at
/// most: two seconds and more, in looks, so that a pause of the whole process does not use them up.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const LOOKS_PER_WAKE: u32 = 100;
const WAKES_MAX: u32 = 100;

/// A thread that stands still when a test asks for it.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    /// The thread says that it stands by the one, and goes on when the other end of the other is dropped.
    asked: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
    stands: AtomicBool,
}

impl Standstill {
    /// Once the first of the two has something, the thread stands still until the second is dropped.
    fn ask(&self) -> (Receiver<()>, SyncSender<()>) {
        let ((tell, stands), (keep, kept)) = (sync_channel(1), sync_channel(0));
        *self.asked.lock() = Some((tell, kept));
        (stands, keep)
    }

    /// Stands still if that was asked for.
    pub(crate) fn obey(&self) {
        let asked = self.asked.lock().take();
        if let Some((tell, kept)) = asked {
            // Nobody waits for it any more: then it need not be said.
            let _ = tell.send(());
            self.until(&kept);
        }
    }

    /// Stands still until the other end is dropped, or sends.
    pub(crate) fn until(&self, kept: &Receiver<()>) {
        self.stands.store(true, Ordering::SeqCst);
        // An error: the other end was dropped, which is what it waits for.
        let _ = kept.recv();
        self.stands.store(false, Ordering::SeqCst);
    }

    fn stands(&self) -> bool {
        self.stands.load(Ordering::SeqCst)
    }
}

impl Hub {
    /// Moves a manual clock and lets the pumps look at it.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
        self.wake_all();
    }

    /// The same, and waits until each pump and the keeper has begun a turn since; one that a test holds, or that is lost,
    /// is not waited for. A test that moves the clock step by step gives them a turn at each step so, however little they
    /// run: none misses a deadline because the clock went on without it.
    pub fn advance_in_step(&self, by: Duration) {
        self.state.clock.advance(by);
        let now = self.state.clock.now();
        for _ in 0..WAKES_MAX {
            // More than once: a pump that begins anew has another waker.
            self.wake_all();
            for _ in 0..LOOKS_PER_WAKE {
                if self.state.is_in_step(now) {
                    return;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }

    fn wake_all(&self) {
        for shard in &self.state.shards {
            shard.wake();
        }
        self.wake_keeper();
        self.state.rights.wake();
    }

    fn wake_keeper(&self) {
        if let Some(keeper) = &*self._threads.keeper.lock() {
            keeper.wake();
        }
    }

    /// Makes a pump panic at its next turn, to prove that its guards run and that it comes back.
    pub fn inject_panic(&self, shard: usize) {
        self.state.shards[shard].send(Work::Panic);
    }

    /// Makes the next `count` starts or waits of a pump fail, as when the kernel refuses them.
    pub fn inject_failures(&self, shard: usize, count: u32) {
        self.state.shards[shard].injected.fail(count);
        self.state.shards[shard].wake();
    }

    /// Keeps a pump asleep until what this returns is dropped, whatever wakes it: publishers may work meanwhile.
    #[must_use]
    pub fn keep_pump_asleep(&self, shard: usize) -> SyncSender<()> {
        let (sleeps, keep) = self.state.shards[shard].injected.standstill.ask();
        self.state.shards[shard].wake();
        // An error: the pump has ended.
        let _ = sleeps.recv();
        keep
    }

    /// Publishers have no time left after the first socket they write to.
    pub fn hurry_publishers(&self, shard: usize) {
        self.state.shards[shard].injected.hurry_publishers();
    }

    /// Makes the next publisher that delivers at a shard panic there.
    pub fn inject_publisher_panic(&self, shard: usize) {
        self.state.shards[shard].injected.panic_in_publisher();
    }

    /// Makes a pump stand still, behind all that it was asked to do so far, until what this returns is dropped or sent
    /// to: sending waits until it stands there.
    #[must_use]
    pub fn hold_pump(&self, shard: usize) -> SyncSender<()> {
        let (hold, held) = sync_channel(0);
        self.state.shards[shard].send(Work::Hold(held));
        hold
    }

    /// Makes the keeper stand still until what this returns is dropped.
    #[must_use]
    pub fn hold_keeper(&self) -> SyncSender<()> {
        let (stands, keep) = self.state.keeper_still.ask();
        self.wake_keeper();
        // An error: the keeper has ended.
        let _ = stands.recv();
        keep
    }

    /// Makes the keeper panic at its next turn.
    pub fn inject_keeper_panic(&self) {
        self.state.keeper_panic.store(true, Ordering::SeqCst);
    }
}

impl HubState {
    /// Whether every thread that works has begun a turn at this time or later.
    fn is_in_step(&self, now: Tick) -> bool {
        let keeper = self.keeper_turn.load(Ordering::Relaxed) >= now.0 || self.keeper_still.stands();
        keeper
            && self.shards.iter().all(|shard| {
                shard.last_turn() >= now.0 || shard.is_lost() || shard.injected.standstill.stands()
            })
    }
}
