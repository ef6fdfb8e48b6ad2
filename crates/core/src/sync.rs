//! The locks and atomics this crate is written against: `parking_lot` and `std`, or loom's under `cfg(loom)`,
//! so that the model checker runs the very code that ships.

#[cfg(not(loom))]
pub use parking_lot::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::sync::{Arc, atomic};

#[cfg(loom)]
pub use self::model::Mutex;
#[cfg(loom)]
pub use loom::sync::{Arc, MutexGuard, atomic};

#[cfg(loom)]
mod model {
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
