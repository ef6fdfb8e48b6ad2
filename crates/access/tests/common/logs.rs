//! The log of a test, kept to be looked at.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Once};

use parking_lot::Mutex;

thread_local! {
    /// Where the lines of this thread go.
    static CAPTURED: RefCell<Option<Logs>> = const { RefCell::new(None) };
}

#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

/// Ends the capture when it is dropped.
pub(crate) struct CaptureGuard(());

impl Logs {
    /// Everything that is logged in this thread until the guard is dropped, of every level.
    pub(crate) fn capture(&self) -> CaptureGuard {
        // One subscriber for all threads: with one per thread, a line that another thread logs first, without any, may be
        // switched off for good.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_writer(|| ToThread)
                .with_ansi(false)
                .with_max_level(tracing::Level::TRACE)
                .init();
        });
        CAPTURED.with_borrow_mut(|captured| *captured = Some(self.clone()));
        CaptureGuard(())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Drop for CaptureGuard {
    fn drop(&mut self) {
        CAPTURED.with_borrow_mut(|captured| *captured = None);
    }
}

/// Writes to whatever captures the lines of the thread.
struct ToThread;

impl io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow(|captured| {
            if let Some(logs) = captured {
                logs.0.lock().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
