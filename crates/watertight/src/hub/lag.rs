//! How far behind the slowest reader was lately. Noted by whoever delivers, read by whoever asks; nobody walks anything.

use std::sync::atomic::{AtomicU64, Ordering};

use watertight_core::Tick;

/// How long a window is, milliseconds. What was noted in this window and in the one before counts.
const WINDOW_MS: u64 = 30_000;
/// The bits of a lag; the window's number stands above them, so that a later window is a greater number.
const LAG_BITS: u32 = 40;
const LAG_MASK: u64 = (1 << LAG_BITS) - 1;

/// The greatest lag of a reader in the last 30 to 60 s, in events.
#[derive(Debug, Default)]
pub struct RecentLag {
    latest: AtomicU64,
    before: AtomicU64,
}

impl RecentLag {
    /// A reader was so many events behind.
    pub(crate) fn note(&self, lag: u64, now: Tick) {
        let noted = stamp(now) | lag.min(LAG_MASK);
        if lag == 0 || self.latest.load(Ordering::Relaxed) >= noted {
            return;
        }
        let previous = self.latest.fetch_max(noted, Ordering::Relaxed);
        if previous >> LAG_BITS < noted >> LAG_BITS {
            self.before.fetch_max(previous, Ordering::Relaxed);
        }
    }

    /// The greatest lag that was noted lately.
    #[must_use]
    pub fn get(&self, now: Tick) -> u64 {
        let since = stamp(now).saturating_sub(1 << LAG_BITS);
        let noted = [&self.latest, &self.before].map(|noted| noted.load(Ordering::Relaxed));
        noted.into_iter().filter(|noted| *noted >= since).map(|noted| noted & LAG_MASK).max().unwrap_or(0)
    }
}

fn stamp(now: Tick) -> u64 {
    (now.0 / WINDOW_MS) << LAG_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_lag_of_the_last_half_minute_is_told_and_older_ones_are_not() {
        let lag = RecentLag::default();
        assert_eq!(lag.get(Tick(0)), 0);
        lag.note(7, Tick(10));
        lag.note(5, Tick(20));
        assert_eq!(lag.get(Tick(29_999)), 7);
        lag.note(3, Tick(30_000));
        assert_eq!(lag.get(Tick(59_999)), 7, "the window before counts");
        assert_eq!(lag.get(Tick(60_000)), 3);
        assert_eq!(lag.get(Tick(90_000)), 0);
        lag.note(u64::MAX, Tick(90_000));
        assert_eq!(lag.get(Tick(90_000)), LAG_MASK);
        assert_eq!(lag.get(Tick(150_000)), 0, "a lag beyond measure is forgotten like any other");
    }
}
