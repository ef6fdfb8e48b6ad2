//! Watches a process's memory from a thread while something happens to it, and remembers the highest figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::background::Background;
use super::failure::Outcome;
use super::process::{Memory, Process};

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Peak {
    resident: AtomicU64,
    anonymous: AtomicU64,
}

/// Samples until dropped.
pub(super) struct Sampler {
    peak: Arc<Peak>,
    _sampling: Background<()>,
}

impl Sampler {
    pub(super) fn watch(process: Process) -> Outcome<Self> {
        let peak = Arc::new(Peak::default());
        let seen = Arc::clone(&peak);
        let sampling = Background::start("sampler", move |stop| {
            while !stop.is_asked() {
                // A process that is gone uses nothing.
                let memory = process.memory().unwrap_or_default();
                seen.resident.fetch_max(memory.resident, Ordering::Relaxed);
                seen.anonymous.fetch_max(memory.anonymous, Ordering::Relaxed);
                std::thread::sleep(SAMPLE_EVERY);
            }
        })?;
        Ok(Self { peak, _sampling: sampling })
    }

    /// The highest figures so far.
    pub(super) fn peak(&self) -> Memory {
        Memory {
            resident: self.peak.resident.load(Ordering::Relaxed),
            anonymous: self.peak.anonymous.load(Ordering::Relaxed),
        }
    }
}
