//! The two moments in the life of a process that native code must know of.
//!
//! A fork copies the memory, but of the threads only the one that forks: in the child no lock that another thread held is
//! ever given back, and no thread of the hub can be joined. So what was made before a fork is left alone in the child.
//!
//! When the interpreter ends, a thread that comes back to it from native code is ended where it stands, through native
//! frames. So none may be there by then: [`exiting`] lets nobody leave the interpreter any more, and waits for those who
//! have.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use watertight::Clock;

use crate::errors;

/// How many forks lie between this process and the one that loaded the module.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// The interpreter is about to end.
static IS_EXITING: AtomicBool = AtomicBool::new(false);
/// Threads that have left the interpreter, and will come back to it.
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);

/// How often is looked whether threads have come back.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Something that belongs to the process in which it was made. In a child of it, it is neither used nor dropped.
#[derive(Debug)]
pub(crate) struct OfProcess<T> {
    value: ManuallyDrop<T>,
    generation: u64,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> OfProcess<T> {
        OfProcess { value: ManuallyDrop::new(value), generation: GENERATION.load(Ordering::Relaxed) }
    }

    fn is_here(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }

    /// Raises `RuntimeError` in a child.
    pub(crate) fn get(&self) -> PyResult<&T> {
        if self.is_here() { Ok(&self.value) } else { Err(error_of_child()) }
    }

    /// `None` in a child: for what closes something, which there has nothing to close.
    pub(crate) fn here_mut(&mut self) -> Option<&mut T> {
        self.is_here().then_some(&mut *self.value)
    }

    /// As [`OfProcess::get`], to change it.
    pub(crate) fn get_mut(&mut self) -> PyResult<&mut T> {
        if self.is_here() { Ok(&mut self.value) } else { Err(error_of_child()) }
    }
}

impl<T> Drop for OfProcess<T> {
    #[expect(unsafe_code, reason = "the one way to drop what may also have to be left alone")]
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: dropped here only, once; nobody has the value any more.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

fn error_of_child() -> PyErr {
    PyRuntimeError::new_err(
        "this hub was started before the process forked, and its threads are in the parent only: start it after the fork \
         (get_sse_broadcaster() gives each process its own), or start the process by \"spawn\"",
    )
}

/// To be called in each child, right after a fork.
#[pyfunction]
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Whoever had left the interpreter did so in the parent.
    OUTSIDE.store(0, Ordering::SeqCst);
}

/// Lets nobody leave the interpreter any more, and waits for those who have, `timeout` seconds at most. `True`: all have
/// come back.
#[pyfunction]
pub(crate) fn exiting(py: Python<'_>, timeout: f64) -> bool {
    IS_EXITING.store(true, Ordering::SeqCst);
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
    py.detach(|| {
        let clock = Clock::monotonic();
        while OUTSIDE.load(Ordering::SeqCst) > 0 {
            if clock.elapsed() >= timeout {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    })
}

/// A thread that has left the interpreter.
struct OutsideGuard(u64);

impl OutsideGuard {
    fn enter() -> OutsideGuard {
        OUTSIDE.fetch_add(1, Ordering::SeqCst);
        OutsideGuard(GENERATION.load(Ordering::Relaxed))
    }
}

impl Drop for OutsideGuard {
    fn drop(&mut self) {
        if self.0 == GENERATION.load(Ordering::Relaxed) {
            OUTSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Does `work` without the interpreter's lock; not any more once the interpreter is about to end.
pub(crate) fn outside<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    // Counted first, looked after: either `exiting` sees the count, or this sees that it has begun.
    let guard = OutsideGuard::enter();
    if IS_EXITING.load(Ordering::SeqCst) {
        return Err(errors::process_ends());
    }
    let done = py.detach(work);
    drop(guard);
    Ok(done)
}
