//! What tests do to a shard that no peer and no caller can do to it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::hub::Standstill;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Injected {
    failures: AtomicU32,
    /// The pump obeys it after a sleep, before it works.
    pub(crate) standstill: Standstill,
    /// Publishers have no time left after the first socket.
    is_in_a_hurry: AtomicBool,
    publisher_panics: AtomicBool,
}

impl Injected {
    /// The next `count` starts or waits of the pump fail.
    pub(crate) fn fail(&self, count: u32) {
        self.failures.store(count, Ordering::SeqCst);
    }

    pub(crate) fn hurry_publishers(&self) {
        self.is_in_a_hurry.store(true, Ordering::SeqCst);
    }

    /// The next publisher that delivers panics.
    pub(crate) fn panic_in_publisher(&self) {
        self.publisher_panics.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_in_a_hurry(&self) -> bool {
        self.is_in_a_hurry.load(Ordering::SeqCst)
    }

    #[expect(clippy::panic, reason = "asked for by a test")]
    pub(super) fn may_panic(&self) {
        if self.publisher_panics.swap(false, Ordering::SeqCst) {
            panic!("injected");
        }
    }

    /// After a wait of the pump, while nobody is at work.
    pub(super) fn after_sleep(&self) -> io::Result<()> {
        self.standstill.obey();
        // The error that a failing kernel would return.
        self.failure()
    }

    pub(super) fn failure(&self) -> io::Result<()> {
        let less = |left: u32| left.checked_sub(1);
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Err(io::Error::other("injected")),
            Err(_) => Ok(()),
        }
    }
}
