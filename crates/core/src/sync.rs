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
pub use self::model::{Mutex, RandomState, atomic};
#[cfg(loom)]
pub use loom::sync::MutexGuard;

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

        /// Takes the lock if nobody has it.
        pub fn try_lock(&self) -> Option<loom::sync::MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    /// loom's atomics, made stronger in two respects where loom tries orders that cannot happen:
    ///
    /// - it takes `SeqCst` for `AcqRel`: fences after stores and before loads give it its meaning back;
    /// - a plain store may come to lie between a read-modify-write and what that one read: so stores swap.
    pub mod atomic {
        pub use loom::sync::atomic::Ordering;
        use loom::sync::atomic::fence;

        macro_rules! atomics {
            ($($name:ident: $value:ty),*) => {$(
                /// loom's own, with `load` and `store` as described above.
                #[derive(Debug, Default)]
                pub struct $name(loom::sync::atomic::$name);

                impl $name {
                    /// A new atomic of `value`.
                    pub fn new(value: $value) -> Self {
                        Self(loom::sync::atomic::$name::new(value))
                    }

                    /// The value.
                    pub fn load(&self, order: Ordering) -> $value {
                        if order == Ordering::SeqCst {
                            fence(Ordering::SeqCst);
                        }
                        self.0.load(order)
                    }

                    /// Puts `value` in.
                    pub fn store(&self, value: $value, order: Ordering) {
                        let release = if order == Ordering::SeqCst { Ordering::Release } else { order };
                        self.0.swap(value, release);
                        if order == Ordering::SeqCst {
                            fence(Ordering::SeqCst);
                        }
                    }
                }

                impl std::ops::Deref for $name {
                    type Target = loom::sync::atomic::$name;

                    fn deref(&self) -> &Self::Target {
                        &self.0
                    }
                }
            )*};
        }

        atomics!(AtomicBool: bool, AtomicU8: u8, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize);
    }
}
