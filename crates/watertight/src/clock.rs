//! The hub's clock: the only place that reads time.
//!
//! Everything that lasts (TTL, deadlines, heartbeats) is measured on the monotonic clock. Wall time is for
//! timestamps that people read.

use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use watertight_core::Tick;

const NANOS_PER_MILLI: u32 = 1_000_000;

/// A clock that only goes forward.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    Monotonic(Instant),
    #[cfg(feature = "testing")]
    Manual(AtomicU64),
    #[cfg(feature = "testing")]
    Runtime(tokio::time::Instant),
}

impl Clock {
    /// The operating system's monotonic clock, starting at zero now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub fn monotonic() -> Clock {
        Clock(Arc::new(Source::Monotonic(Instant::now())))
    }

    /// A clock that stands still until it is moved.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn manual() -> Clock {
        Clock(Arc::new(Source::Manual(AtomicU64::new(0))))
    }

    /// The runtime's clock, which tests can pause.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn of_runtime() -> Clock {
        Clock(Arc::new(Source::Runtime(tokio::time::Instant::now())))
    }

    /// Milliseconds since the clock began.
    #[must_use]
    pub fn now(&self) -> Tick {
        match &*self.0 {
            Source::Monotonic(start) => Tick::ZERO.after(start.elapsed()),
            #[cfg(feature = "testing")]
            Source::Manual(millis) => Tick(millis.load(Ordering::SeqCst)),
            #[cfg(feature = "testing")]
            Source::Runtime(start) => Tick::ZERO.after(start.elapsed()),
        }
    }

    /// Time since the clock began, as exactly as it is known: for measuring how long something took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &*self.0 {
            Source::Monotonic(start) => start.elapsed(),
            #[cfg(feature = "testing")]
            Source::Manual(_) | Source::Runtime(_) => Duration::from_millis(self.now().0),
        }
    }

    /// This moment: for a call that decides several things by one look at the clock.
    #[must_use]
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.elapsed())
    }

    /// The first millisecond at which all of `duration` has passed from now; [`Tick::NEVER`] if that is too far.
    #[must_use]
    pub fn after(&self, duration: Duration) -> Tick {
        self.moment().after(duration)
    }

    /// Moves a manual clock forward; a monotonic clock moves by itself.
    #[cfg(feature = "testing")]
    pub(crate) fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &*self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            let _ =
                millis.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(by)));
        }
    }

    /// Whether waiting makes time pass.
    #[must_use]
    pub(crate) fn runs(&self) -> bool {
        matches!(&*self.0, Source::Monotonic(_))
    }
}

/// A moment on a clock, since that began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// As the clock shows it, in whole milliseconds.
    pub(crate) fn tick(self) -> Tick {
        Tick::ZERO.after(self.0)
    }

    /// The first millisecond at which all of `duration` has passed since then; [`Tick::NEVER`] if that is too far.
    pub(crate) fn after(self, duration: Duration) -> Tick {
        let at = self.0.saturating_add(duration);
        let begun = u64::from(at.subsec_nanos().div_ceil(NANOS_PER_MILLI));
        Tick(at.as_secs().saturating_mul(1000).saturating_add(begun))
    }
}

/// Wall time since the Unix epoch, for timestamps only.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_a_while_is_never_over_before() {
        let clock = Clock::monotonic();
        for micros in 0..2_000 {
            let lasting = Duration::from_micros(50_000 + micros);
            let begun = clock.elapsed();
            let at = Duration::from_millis(clock.after(lasting).0);
            assert!(at >= begun + lasting, "{at:?} is before {begun:?} and {lasting:?}");
            assert!(at <= clock.elapsed() + lasting + Duration::from_millis(1));
        }
        assert_eq!(clock.after(Duration::MAX), Tick::NEVER);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn on_a_clock_of_whole_milliseconds_it_is_over_just_then() {
        let clock = Clock::manual();
        clock.advance(Duration::from_millis(7));
        assert_eq!(clock.after(Duration::from_millis(50)), Tick(57));
    }
}
