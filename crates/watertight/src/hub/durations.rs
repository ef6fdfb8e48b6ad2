//! Histograms of how long things took: counts by fixed buckets, noted without a lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use watertight_core::Frame;

/// The upper ends of the buckets, seconds. A delivery to a reader who keeps up takes far less than a millisecond; a
/// publisher that is held back by its readers waits for up to 30 s.
const ENDS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

/// One for each end, and the last for what takes longer than any.
const BUCKETS: usize = ENDS.len() + 1;

/// How long things of one kind have taken since the start.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

/// What [`Durations`] had counted at one instant, or between two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DurationCounts {
    buckets: [u64; BUCKETS],
    micros: u64,
}

impl Durations {
    /// Counts one that took so long.
    pub fn note(&self, took: Duration) {
        self.note_many(took, 1);
    }

    /// Counts `times` that took so long.
    pub(crate) fn note_many(&self, took: Duration, times: u64) {
        self.buckets[bucket_of(took)].fetch_add(times, Relaxed);
        self.micros.fetch_add(micros(took).saturating_mul(times), Relaxed);
    }

    /// Counts `delivered` deliveries of these events, handed over at `now` (wall time since the Unix epoch). Readers
    /// who took a part of them are counted as if each event had been taken as often as any other.
    pub(crate) fn note_delivered<'a>(
        &self,
        events: impl Iterator<Item = &'a Frame> + Clone,
        delivered: u64,
        now: Duration,
    ) {
        let (mut left, mut events_left) = (delivered, events.clone().count() as u64);
        for frame in events {
            let times = left.div_ceil(events_left);
            if times > 0 {
                self.note_many(now.saturating_sub(frame.created_at()), times);
            }
            (left, events_left) = (left - times, events_left - 1);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> DurationCounts {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Relaxed));
        DurationCounts { buckets, micros: self.micros.load(Relaxed) }
    }
}

fn bucket_of(took: Duration) -> usize {
    let seconds = took.as_secs_f64();
    ENDS.iter().position(|end| seconds <= *end).unwrap_or(ENDS.len())
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl DurationCounts {
    /// Those since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &DurationCounts) -> DurationCounts {
        let buckets = std::array::from_fn(|at| self.buckets[at].saturating_sub(earlier.buckets[at]));
        DurationCounts { buckets, micros: self.micros.saturating_sub(earlier.micros) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together, seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// The upper end of each bucket in seconds, the last infinite, and how many took no longer, but longer than the
    /// end before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        ENDS.into_iter().chain([f64::INFINITY]).zip(self.buckets)
    }

    /// Which time this share did not exceed, milliseconds, as if the times within a bucket were spread evenly; the end
    /// of the last bucket for all beyond it. `None`: there were none.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let all = self.count();
        let rank = all as f64 * share;
        let (mut below, mut start) = (0.0, 0.0);
        for (count, end) in self.buckets.iter().map(|count| *count as f64).zip(ENDS) {
            if count > 0.0 && below + count >= rank {
                return Some((start + (end - start) * (rank - below) / count) * 1e3);
            }
            (below, start) = (below + count, end);
        }
        (all > 0).then_some(start * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_the_bucket_of_their_rank() {
        let durations = Durations::default();
        let before = durations.counts();
        assert_eq!(before.quantile_ms(0.99), None);
        for _ in 0..98 {
            durations.note(Duration::from_micros(200));
        }
        durations.note(Duration::from_millis(40));
        durations.note(Duration::from_secs(3600));
        let counts = durations.counts();
        let quantile = |share| counts.since(&before).quantile_ms(share).unwrap();
        assert!((0.1..0.25).contains(&quantile(0.5)), "{}", quantile(0.5));
        assert!((25.0..=50.0).contains(&quantile(0.99)), "{}", quantile(0.99));
        assert_eq!(quantile(1.0), 30_000.0, "beyond the last bucket");
        assert_eq!(counts.since(&counts).quantile_ms(0.5), None, "nothing since");
        assert_eq!(counts.count(), 100);
        assert!((3600.05..3600.07).contains(&counts.sum_seconds()), "{}", counts.sum_seconds());
    }

    #[test]
    fn deliveries_of_several_events_are_counted_once_each_by_the_time_of_their_event() {
        let at = |micros| Frame::published(b"", None, Duration::from_micros(micros));
        let frames = [at(1_000_000), at(1_900_000), at(1_999_700)];
        for (delivered, of_each) in [(0, [0, 0, 0]), (1, [1, 0, 0]), (6, [2, 2, 2]), (7, [3, 2, 2])] {
            let durations = Durations::default();
            durations.note_delivered(frames.iter(), delivered, Duration::from_secs(2));
            let counts = durations.counts();
            let taken = |end| counts.buckets().find(|(known, _)| *known == end).unwrap().1;
            assert_eq!([taken(1.0), taken(0.1), taken(0.0005)], of_each, "{delivered} delivered");
            assert_eq!(counts.count(), delivered);
        }
    }

    #[test]
    fn a_wall_clock_that_was_set_back_counts_as_no_time() {
        let durations = Durations::default();
        let frame = Frame::published(b"", None, Duration::from_secs(5));
        durations.note_delivered([frame].iter(), 1, Duration::from_secs(4));
        assert_eq!(durations.counts().sum_seconds(), 0.0);
        assert_eq!(durations.counts().buckets().next(), Some((0.0001, 1)));
    }
}
