//! A try under way, and who waits for it. Each key has its own: what happens to one wakes nobody else.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use watertight::Positions;

use super::table::Key;
use super::{Claim, IdempotencyKeys};

/// The turn of one key. Whoever has it publishes; when it is settled, all who wait are answered at once, and when
/// it is given up, one of them has it next.
#[derive(Debug)]
pub(super) struct Turn {
    /// Without a permit while somebody has the turn; closed once it is settled.
    free: Semaphore,
    settled: OnceLock<Positions>,
}

impl Turn {
    /// A turn that its maker has.
    pub(super) fn taken() -> Arc<Turn> {
        Arc::new(Turn { free: Semaphore::new(0), settled: OnceLock::new() })
    }

    pub(super) fn settle(&self, positions: Positions) {
        // Only whoever has the turn settles it, and only once.
        let _ = self.settled.set(positions);
        self.free.close();
    }

    pub(super) fn pass_on(&self) {
        self.free.add_permits(1);
    }
}

/// Somebody who waits for a turn; counted in the table until it is dropped or has the turn.
#[derive(Debug)]
pub(crate) struct Waiter {
    keys: IdempotencyKeys,
    key: Arc<Key>,
    turn: Arc<Turn>,
    counted: bool,
}

impl Waiter {
    /// Takes over the count that [`Table::claim`](super::table::Table::claim) made.
    pub(super) fn new(keys: IdempotencyKeys, key: Arc<Key>, turn: Arc<Turn>) -> Waiter {
        Waiter { keys, key, turn, counted: true }
    }

    /// Waits until the try is settled, or it is this one's turn. Dropping the future gives the waiting up.
    pub(crate) async fn wait(mut self) -> Claim {
        let turn = Arc::clone(&self.turn);
        let is_next = match turn.free.acquire().await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_closed) => false,
        };
        self.counted = false;
        match turn.settled.get() {
            Some(positions) if !is_next => Claim::Known(*positions),
            _ => {
                self.keys.0.table.lock().take_over(&self.key);
                Claim::First(self.keys.guard(Arc::clone(&self.key), turn))
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.counted {
            self.keys.0.table.lock().leave(&self.key, &self.turn);
        }
    }
}
