//! Work on a thread of its own, beside what is measured. It is told to stop, and waited for, by whoever drops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use super::failure::{Outcome, While, broken};

/// Whether the work is to stop. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Running work that comes to a `T`.
#[derive(Debug)]
pub(super) struct Background<T> {
    stop: Stop,
    /// Taken when it is joined.
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts it; `work` looks at what it is given to see whether it is to end.
    pub(super) fn start(name: &str, work: impl FnOnce(&Stop) -> T + Send + 'static) -> Outcome<Self> {
        let stop = Stop::default();
        let asked = stop.clone();
        let thread =
            Builder::new().name(name.into()).spawn(move || work(&asked)).during("starting a thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl<T> Background<T> {
    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end; answers with what it came to.
    pub(super) fn join(mut self) -> Outcome<T> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => Ok(result),
            _ => broken("a thread panicked"),
        }
    }

    /// Ends it, and waits for that; answers with what it came to.
    pub(super) fn stop(self) -> Outcome<T> {
        self.stop.0.store(true, Ordering::Relaxed);
        self.join()
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its failure is of no interest to whoever did not ask for its result.
            thread.join().ok();
        }
    }
}
