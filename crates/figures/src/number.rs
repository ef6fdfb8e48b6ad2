//! Numbers in JSON: why one is missing, how many digits it has, and how a counter becomes a rate.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Why a figure is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// A rate needs two samples, and this is the first.
    FirstSample,
    /// The counter began again since the last sample.
    Restarted,
    /// The endpoint says NaN.
    NotANumber,
    /// The endpoint says infinity.
    Infinite,
    /// The hub may not read it.
    NoPermission,
    /// The kernel or the endpoint does not say it.
    NotAvailable,
}

/// A figure, or why it is not known.
pub(crate) type Known = Result<f64, Missing>;

/// A number from outside: JSON has neither NaN nor infinities.
pub(crate) fn finite(value: f64) -> Known {
    if value.is_nan() {
        Err(Missing::NotANumber)
    } else if value.is_infinite() {
        Err(Missing::Infinite)
    } else {
        Ok(value)
    }
}

/// What a counter gained per second. A counter that fell began again.
pub(crate) fn per_second(before: Known, now: Known, elapsed: Duration) -> Known {
    let now = now?;
    let before = before.map_err(|_| Missing::FirstSample)?;
    if now < before {
        return Err(Missing::Restarted);
    }
    if elapsed.is_zero() {
        return Err(Missing::NotAvailable);
    }
    finite((now - before) / elapsed.as_secs_f64())
}

/// Rounds to `digits` behind the point.
pub(crate) fn to_digits(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { value }
}

/// Rounds to six significant digits: more of a rate is noise of the clock.
pub(crate) fn to_six(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    // Beyond these a power of ten is no exact number, and the value is left as it is.
    let magnitude = value.abs().log10().floor();
    if !(-200.0..=15.0).contains(&magnitude) {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "between -200 and 15")]
    to_digits(value, 5 - magnitude as i32)
}

/// The largest whole number below which every whole number is an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A finite number as JSON: `17` rather than `17.0`.
pub(crate) fn serialize<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        return serializer.serialize_none();
    }
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        return serializer.serialize_i64(value as i64);
    }
    serializer.serialize_f64(value)
}

/// A number for serde.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_what_a_counter_gained_per_second() {
        assert_eq!(per_second(Ok(10.0), Ok(16.0), 2 * SECOND), Ok(3.0));
        assert_eq!(per_second(Ok(10.0), Ok(10.0), SECOND), Ok(0.0));
    }

    #[test]
    fn what_cannot_be_a_rate_says_why() {
        assert_eq!(per_second(Err(Missing::NotANumber), Ok(1.0), SECOND), Err(Missing::FirstSample));
        assert_eq!(per_second(Ok(10.0), Ok(9.0), SECOND), Err(Missing::Restarted));
        assert_eq!(per_second(Ok(10.0), Err(Missing::Infinite), SECOND), Err(Missing::Infinite));
        assert_eq!(per_second(Ok(10.0), Ok(11.0), Duration::ZERO), Err(Missing::NotAvailable));
        assert_eq!(per_second(Ok(-f64::MAX), Ok(f64::MAX), SECOND), Err(Missing::Infinite));
    }

    #[test]
    fn rounding_keeps_six_digits_of_any_size() {
        for (value, rounded) in [
            (0.0, 0.0),
            (0.200_000_000_1, 0.2),
            (123_456_789.0, 123_457_000.0),
            (-1.234_567_89e-7, -1.234_57e-7),
            (f64::MIN_POSITIVE, f64::MIN_POSITIVE),
            (f64::MAX, f64::MAX),
        ] {
            assert_eq!(to_six(value), rounded);
        }
    }

    #[test]
    fn whole_numbers_have_no_point() {
        let json = |value| serde_json::to_string(&Number(value)).unwrap();
        assert_eq!(json(17.0), "17");
        assert_eq!(json(-0.5), "-0.5");
        assert_eq!(json(1e300), "1e+300");
        assert_eq!(json(f64::NAN), "null");
    }
}
