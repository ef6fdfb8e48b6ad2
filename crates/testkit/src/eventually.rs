//! Waiting for a condition. Polls often, fails with what it saw last.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const STEP: Duration = Duration::from_millis(5);

/// Waits until `look` gives a value of which `holds` is true, and returns it.
///
/// # Panics
/// After `within`, with the last value and `what` was waited for.
pub fn wait_until<T: Debug>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> T,
    holds: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        let last = look();
        if holds(&last) {
            return last;
        }
        if Instant::now() >= deadline {
            panic!("not within {within:?}: {what}; last: {last:?}");
        }
        std::thread::sleep(STEP);
    }
}

/// Polls until a condition holds, and fails with the last value otherwise. The time is [`PATIENCE`] unless
/// said; the value, if one is compared, is returned.
///
/// ```
/// use std::time::Duration;
/// use watertight_testkit::eventually;
///
/// let mut looks = 0;
/// eventually!({ looks += 1; looks > 2 });
/// let value = eventually!({ looks += 1; looks }, |n| *n >= 7, Duration::from_secs(1));
/// assert_eq!(value, 7);
/// ```
///
/// [`PATIENCE`]: crate::PATIENCE
#[macro_export]
macro_rules! eventually {
    ($condition:expr) => {
        $crate::eventually!($condition, $crate::PATIENCE)
    };
    ($value:expr, |$last:pat_param| $holds:expr) => {
        $crate::eventually!($value, |$last| $holds, $crate::PATIENCE)
    };
    ($value:expr, |$last:pat_param| $holds:expr, $within:expr) => {
        $crate::eventually::wait_until(
            concat!(stringify!($value), " with ", stringify!($holds)),
            $within,
            || $value,
            |$last| $holds,
        )
    };
    ($condition:expr, $within:expr) => {
        $crate::eventually::wait_until(stringify!($condition), $within, || $condition, |holds| *holds)
    };
}

/// Runs `work` and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed())
}
