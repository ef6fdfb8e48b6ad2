//! Times and values of a token as text for people. A token is anybody's text: nothing of it may steer a terminal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::plain::escaped;

/// A value as JSON, in one line, with every character escaped that could steer a terminal or turn the text around.
pub(super) fn shown(value: &Value) -> String {
    escaped(&value.to_string())
}

/// `2026-11-26T17:00:00Z` (RFC 3339), to the second.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The date of a day since 1 January 1970: Howard Hinnant's "civil_from_days", with years that begin in March so that
/// a leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// `in 59m 30s`, `3d 4h ago`.
pub(super) fn distance(time: SystemTime, now: SystemTime) -> String {
    match time.duration_since(now) {
        Ok(ahead) if ahead.as_secs() > 0 => format!("in {}", span(ahead)),
        Err(behind) if behind.duration().as_secs() > 0 => format!("{} ago", span(behind.duration())),
        _ => "now".to_owned(),
    }
}

/// The two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts =
        [(seconds / 86400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let Some(first) = parts.iter().position(|(count, _)| *count > 0) else { return "0s".to_owned() };
    let shown = parts.iter().skip(first).take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_written_as_date_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(at(seconds)), text);
        }
    }

    #[test]
    fn distances_have_the_two_largest_units() {
        for (seconds, text) in [
            (0, "now"),
            (1, "in 1s"),
            (3600, "in 1h"),
            (3599, "in 59m 59s"),
            (3601, "in 1h"),
            (90_061, "in 1d 1h"),
        ] {
            assert_eq!(distance(at(1000 + seconds), at(1000)), text);
        }
        assert_eq!(distance(at(0), at(150)), "2m 30s ago");
        assert_eq!(distance(at(7), at(7) + Duration::from_millis(300)), "now");
    }

    #[test]
    fn nothing_shown_can_steer_a_terminal() {
        let value =
            serde_json::json!({ "a\u{1b}[31m": "b\u{9b}31m\r\n\u{202e}c\0\u{7f}", "d": ["\u{2066}", "ü🚰"] });
        let text = shown(&value);
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2066}'), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "and it is still the same JSON");
    }
}
