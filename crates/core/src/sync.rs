//! The locks and atomics this crate is written against: `parking_lot` and `std`, or loom's under `cfg(loom)`,
//! so that the model checker runs the very code that ships.
//!
//! `Arc` is the standard library's in both worlds: methods here take `self: &Arc<Self>`, which only that one
//! allows. Models see that the last reference goes by the ledger entry that goes with it.

pub use std::sync::Arc;

#[cfg(not(loom))]
pub use parking_lot::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::hash::RandomState;
#[cfg(not(loom))]
pub use std::sync::atomic;

#[cfg(loom)]
pub use self::model::{Mutex, RandomState};
#[cfg(loom)]
pub use loom::sync::{MutexGuard, atomic};

#[cfg(loom)]
mod model {
    /// A hasher that is not random: a model must take the same way whenever it is run again.
    pub type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

    /// loom's mutex with `parking_lot`'s signature: a model never poisons, a panic ends the run.
    #[derive(Debug)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A new mutex around `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Takes the lock.
        pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }
    }
}
