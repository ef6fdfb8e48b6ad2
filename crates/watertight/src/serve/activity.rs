//! What a connection is busy with: how many requests, or since when with none. A request counts until the last
//! byte of its answer was taken.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Debug)]
struct State {
    active: usize,
    begun: u64,
    idle_since: Instant,
}

/// A connection's requests. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Default for Activity {
    fn default() -> Self {
        Activity(Arc::new(Mutex::new(State { active: 0, begun: 0, idle_since: Instant::now() })))
    }
}

/// A request under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct ActiveRequest(Activity);

impl Activity {
    /// Counts a request in.
    pub(super) fn begin(&self) -> ActiveRequest {
        let mut state = self.0.lock();
        state.active += 1;
        state.begun += 1;
        drop(state);
        ActiveRequest(self.clone())
    }

    /// Since when there is no request any more. `None`: there is one, or there was none yet.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        (state.active == 0 && state.begun > 0).then_some(state.idle_since)
    }

    /// When there will have been no request for `patience`, as far as that is known now.
    pub(super) fn idle_until(&self, patience: Duration) -> Instant {
        let state = self.0.lock();
        let since = if state.active > 0 { Instant::now() } else { state.idle_since };
        since + patience
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.active -= 1;
        state.idle_since = Instant::now();
    }
}
