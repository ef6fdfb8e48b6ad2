//! Wakes an event loop. One for each loop: however many of its tasks have something to do, and however often they were
//! told, one write to one file descriptor wakes it, and one read lists them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};

use crate::process::OfProcess;

/// What rings and what is rung for.
#[derive(Debug)]
pub(crate) struct BellState {
    file: OwnedFd,
    /// It has rung, and the loop has not come yet.
    has_rung: AtomicBool,
    /// What has become ready since the loop last came; each once. Bounded by what is waited for.
    ready: Mutex<Vec<Arc<Ringer>>>,
}

impl BellState {
    fn ring(&self, ringer: Arc<Ringer>) {
        self.ready.lock().push(ringer);
        if !self.has_rung.swap(true, Ordering::SeqCst) {
            // It fails only if the counter is full, and then the loop is awake anyway.
            let _ = rustix::io::write(&self.file, &1_u64.to_ne_bytes());
        }
    }

    /// What became ready. In this order: what rings after the list was taken rings anew.
    fn answer(&self) -> Vec<u64> {
        let mut count = [0; 8];
        // Nothing to read: another answer was faster.
        let _ = rustix::io::read(&self.file, &mut count);
        self.has_rung.store(false, Ordering::SeqCst);
        let ready = std::mem::take(&mut *self.ready.lock());
        let numbers = ready.into_iter().map(|ringer| {
            ringer.is_ready.store(false, Ordering::SeqCst);
            ringer.number
        });
        numbers.collect()
    }
}

/// Rings for one thing that is waited for.
#[derive(Debug)]
pub(crate) struct Ringer {
    /// The bell lists ringers, so they hold it weakly: of a loop that is gone nobody is to be woken.
    bell: Weak<BellState>,
    number: u64,
    /// It is in the bell's list already.
    is_ready: AtomicBool,
}

impl Ringer {
    /// What wakes whoever waits for `number` at this bell.
    pub(crate) fn waker(bell: &Arc<BellState>, number: u64) -> Waker {
        Waker::from(Arc::new(Ringer { bell: Arc::downgrade(bell), number, is_ready: AtomicBool::new(false) }))
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::SeqCst)
            && let Some(bell) = self.bell.upgrade()
        {
            bell.ring(Arc::clone(self));
        }
    }
}

/// Wakes one event loop: have the loop watch `fileno()`, and call `answer()` when it can be read.
#[pyclass(frozen, module = "watertight_sse._hub")]
#[derive(Debug)]
pub(crate) struct Bell(OfProcess<Arc<BellState>>);

impl Bell {
    pub(crate) fn state(&self) -> PyResult<&Arc<BellState>> {
        self.0.get()
    }
}

#[pymethods]
impl Bell {
    /// Raises `OSError` if there are no file descriptors left.
    #[new]
    fn new() -> PyResult<Bell> {
        let file = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| {
            PyOSError::new_err((error.raw_os_error(), "no file descriptor for a hub's events"))
        })?;
        let state = BellState { file, has_rung: AtomicBool::new(false), ready: Mutex::default() };
        Ok(Bell(OfProcess::new(Arc::new(state))))
    }

    /// What the loop is to watch.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.state()?.file.as_raw_fd())
    }

    /// The numbers of what has become ready, and silence until something else does.
    fn answer(&self) -> PyResult<Vec<u64>> {
        Ok(self.state()?.answer())
    }
}
