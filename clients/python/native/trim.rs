//! Gives what a crowd of connections leaves free in glibc's allocator back to the system. By itself that keeps most of it for
//! good: between blocks that are still in use, and in arenas whose top is. Other allocators give it back by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use watertight_core::{Kind, Ledger};

/// Connections that have come or gone before it is worth it: they leave about a megabyte.
const CONNECTIONS_MIN: u64 = 1_000;

/// It takes some milliseconds, in which whoever allocates may wait: not more often.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// How often the ledger is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Trims, on a thread of its own, when enough connections have come or gone since the last time; counts how often in
/// `trims`. Never completes.
pub(crate) async fn after_crowds(ledger: Arc<Ledger>, trims: Arc<AtomicU64>) {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return std::future::pending().await;
    }
    let moved = || {
        let connections = ledger.counts(Kind::Connection);
        connections.opened + connections.closed
    };
    let (mut seen, mut last) = (moved(), None);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now: Instant = looks.tick().await;
        let is_due = last.is_none_or(|last| now.duration_since(last) >= AT_MOST_EVERY);
        if !is_due || moved() - seen < CONNECTIONS_MIN {
            continue;
        }
        (seen, last) = (moved(), Some(now));
        // It fails if the runtime ends meanwhile.
        if tokio::task::spawn_blocking(trim).await.is_ok() {
            trims.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the call has no wrapper; it is described below")]
fn trim() {
    // SAFETY: declared as in glibc's `malloc.h`.
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: it takes a number, and may be called from any thread at any time; it locks the arenas by itself.
    unsafe {
        malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
