//! How a test ends a hub's process: gracefully, and for certain.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// Stops a hub when dropped, whatever happens.
pub(crate) struct StopGuard<'h>(&'h mut Child);

impl<'h> StopGuard<'h> {
    pub(crate) fn of(child: &'h mut Child) -> StopGuard<'h> {
        StopGuard(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM, then its status.
    pub(crate) fn stop(mut self) -> Option<ExitStatus> {
        self.terminate()
    }

    fn terminate(&mut self) -> Option<ExitStatus> {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(self.0), Signal::TERM);
        let status = wait(self.0, PATIENCE);
        if status.is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
        status
    }
}

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.terminate();
        }
    }
}

/// Its status, if it ends within this time.
pub(crate) fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
