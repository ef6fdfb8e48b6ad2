//! Somebody's source, with its runs counted; a run can be dropped at an await, or made to fail.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::source::{Feed, Source, SourceError};

/// What becomes of the first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstRun {
    /// Nothing: it is the source's own.
    Whole,
    /// It is dropped once it was polled so often; the source then seems to wait.
    DroppedAfter { polls: usize },
}

/// How a run is to end at the await where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Error,
    Panic,
}

/// The runs of one source.
#[derive(Debug, Default)]
pub(super) struct Runs {
    started: AtomicUsize,
    /// Runs whose future was not dropped so far.
    running: AtomicUsize,
    was_dropped: AtomicBool,
    fault: Mutex<Option<Fault>>,
    faulted: Notify,
}

impl Runs {
    pub(super) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Whether the first run was dropped as it was to be.
    pub(super) fn was_dropped(&self) -> bool {
        self.was_dropped.load(Ordering::SeqCst)
    }

    /// Ends the run where it waits.
    pub(super) fn inject(&self, fault: Fault) {
        *self.fault.lock() = Some(fault);
        self.faulted.notify_one();
    }

    async fn fault(&self) -> Fault {
        loop {
            self.faulted.notified().await;
            if let Some(fault) = self.fault.lock().take() {
                return fault;
            }
        }
    }
}

/// Counts a run for as long as its future lives.
struct RunGuard(Arc<Runs>);

impl RunGuard {
    fn new(runs: &Arc<Runs>) -> RunGuard {
        runs.running.fetch_add(1, Ordering::SeqCst);
        RunGuard(Arc::clone(runs))
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A source under check.
pub(super) struct Watched<S> {
    source: S,
    first_run: FirstRun,
    runs: Arc<Runs>,
}

impl<S: Source> Watched<S> {
    pub(super) fn new(source: S, first_run: FirstRun) -> (Watched<S>, Arc<Runs>) {
        let runs = Arc::new(Runs::default());
        (Watched { source, first_run, runs: Arc::clone(&runs) }, runs)
    }
}

impl<S: Source> Source for Watched<S> {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let is_first = self.runs.started.fetch_add(1, Ordering::SeqCst) == 0;
        // Made before the source's future, so that it is dropped after that.
        let _guard = RunGuard::new(&self.runs);
        let mut run = Box::pin(self.source.run(feed));
        match self.first_run {
            FirstRun::DroppedAfter { polls } if is_first => {
                if let Some(outcome) = polled(run, polls).await {
                    return outcome;
                }
                self.runs.was_dropped.store(true, Ordering::SeqCst);
                pending().await
            }
            _ => tokio::select! {
                biased;
                outcome = &mut run => outcome,
                fault = self.runs.fault() => match fault {
                    Fault::Error => Err(SourceError::new("failed by the check of its source")),
                    Fault::Panic => injected_panic(),
                },
            },
        }
    }
}

#[expect(clippy::panic, reason = "the check is what becomes of a source that panics")]
fn injected_panic() -> ! {
    panic!("asked for by the check of a source")
}

/// Polls a future at most so often, and drops it. `None`: it was not ready by then.
async fn polled<F: Future>(mut future: Pin<Box<F>>, polls: usize) -> Option<F::Output> {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
