//! Watches a process's memory from a thread while something happens to it, and remembers the highest figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::failure::{Outcome, While};
use super::process::{Memory, Process};

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    resident: AtomicU64,
    anonymous: AtomicU64,
}

/// Samples until dropped.
pub(super) struct Sampler {
    shared: Arc<Shared>,
    /// Taken by `drop`.
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    pub(super) fn watch(process: Process) -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let work = {
            let shared = shared.clone();
            move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    // A process that is gone uses nothing.
                    let memory = process.memory().unwrap_or_default();
                    shared.resident.fetch_max(memory.resident, Ordering::Relaxed);
                    shared.anonymous.fetch_max(memory.anonymous, Ordering::Relaxed);
                    std::thread::sleep(SAMPLE_EVERY);
                }
            }
        };
        let thread = Builder::new().name("sampler".into()).spawn(work).during("starting a thread")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The highest figures so far.
    pub(super) fn peak(&self) -> Memory {
        Memory {
            resident: self.shared.resident.load(Ordering::Relaxed),
            anonymous: self.shared.anonymous.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
