//! What wakes a thread that waits outside of the interpreter.

use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use watertight::Clock;

use crate::process::outside;

/// How often a waiting thread comes back to the interpreter: so soon is Ctrl-C noticed.
const SIGNALS_EVERY: Duration = Duration::from_millis(250);

/// Longer than anybody waits; a deadline that far off is none.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Wakes one thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadWaker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock() = true;
        self.woken.notify_one();
    }
}

impl ThreadWaker {
    fn wait(&self, limit: Duration) {
        let mut is_woken = self.is_woken.lock();
        if !*is_woken {
            self.woken.wait_for(&mut is_woken, limit);
        }
        *is_woken = false;
    }
}

/// Seconds of Python; too many of them, or infinity: for ever.
fn limit_of(timeout: f64) -> Duration {
    let beyond = if timeout > 0.0 { FOR_EVER } else { Duration::ZERO };
    Duration::try_from_secs_f64(timeout).unwrap_or(beyond)
}

/// Looks again and again until there is something, asleep in between. `None`: the time was over first.
///
/// # Errors
/// What `look` says, what a signal's handler raises (`KeyboardInterrupt`), and once the interpreter is about to end.
pub(crate) fn wait_for<T>(
    py: Python<'_>,
    waker: &ThreadWaker,
    timeout: Option<f64>,
    mut look: impl FnMut() -> PyResult<Option<T>>,
) -> PyResult<Option<T>> {
    let clock = Clock::monotonic();
    let limit = timeout.map_or(FOR_EVER, limit_of);
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = limit.saturating_sub(clock.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        outside(py, || waker.wait(left.min(SIGNALS_EVERY)))?;
        py.check_signals()?;
    }
}
