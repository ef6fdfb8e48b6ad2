//! SIGINT and SIGTERM as a flag that loops look at, so that a scenario stops between two steps and ends its
//! children on the way out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Exit code after a signal, as shells have it.
pub(super) const EX_INTERRUPTED: u8 = 130;

/// Listens for signals until dropped. A second signal ends the process at once.
pub(super) struct Interrupt {
    seen: Arc<AtomicBool>,
    end: Arc<Notify>,
    /// Taken by `drop`.
    thread: Option<JoinHandle<()>>,
}

impl Interrupt {
    pub(super) fn listen() -> io::Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let end = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let thread = Builder::new().name("signals".into()).spawn({
            let (seen, end) = (seen.clone(), end.clone());
            move || {
                // Without the listeners a signal ends the process as usual.
                runtime.block_on(watch(&seen, &end)).ok();
            }
        })?;
        Ok(Self { seen, end, thread: Some(thread) })
    }

    pub(super) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

async fn watch(seen: &AtomicBool, end: &Notify) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = end.notified() => return Ok(()),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EX_INTERRUPTED));
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            thread.join().ok();
        }
    }
}
