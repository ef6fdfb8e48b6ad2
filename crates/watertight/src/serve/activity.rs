//! What a connection is busy with: how many requests, or since when with none. HTTP/2 has no head to wait for,
//! so this is its patience between two requests.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Debug)]
struct State {
    active: usize,
    idle_since: Instant,
}

/// A connection's requests. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Default for Activity {
    fn default() -> Self {
        Activity(Arc::new(Mutex::new(State { active: 0, idle_since: Instant::now() })))
    }
}

/// A request under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct ActiveRequest(Activity);

impl Activity {
    /// Counts a request in.
    pub(super) fn begin(&self) -> ActiveRequest {
        self.0.lock().active += 1;
        ActiveRequest(self.clone())
    }

    /// Completes when there has been no request for `patience`.
    pub(super) async fn idle_for(&self, patience: Duration) {
        loop {
            let until = {
                let state = self.0.lock();
                if state.active > 0 { Instant::now() + patience } else { state.idle_since + patience }
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.active -= 1;
        state.idle_since = Instant::now();
    }
}
