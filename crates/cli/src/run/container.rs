//! What container runtimes write for each line that a container printed: CRI (containerd, CRI-O) and Docker's JSON. A long
//! line comes in several records, of which all but the last are marked partial. Pure.

use std::borrow::Cow;

use serde::Deserialize;

use super::record::Stream;

/// One record of a runtime.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) stream: Stream,
    /// Milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    pub(super) text: Cow<'a, [u8]>,
    /// More of the same line follows.
    pub(super) is_partial: bool,
}

/// `2016-10-06T00:17:09.669794202Z stdout P text`; `None`: it is no such record.
pub(super) fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let at_ms = time(str::from_utf8(fields.next()?).ok()?)?;
    let stream = stream(str::from_utf8(fields.next()?).ok()?)?;
    // Tags are separated by colons; the first says whether it is partial or full.
    let is_partial = match fields.next()?.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    // An empty line may come without the blank.
    let text = fields.next().unwrap_or_default();
    Some(Piece { stream, at_ms, text: text.into(), is_partial })
}

#[derive(Deserialize)]
struct DockerRecord<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// `{"log":"text\n","stream":"stdout","time":"…"}`, partial without the line feed; `None`: it is no such record.
pub(super) fn docker(line: &[u8]) -> Option<Piece<'static>> {
    let record: DockerRecord<'_> = serde_json::from_slice(line).ok()?;
    let (stream, at_ms) = (stream(&record.stream)?, time(&record.time)?);
    let mut text = record.log.into_owned().into_bytes();
    let is_partial = text.pop_if(|last| *last == b'\n').is_none();
    Some(Piece { stream, at_ms, text: text.into(), is_partial })
}

fn stream(name: &str) -> Option<Stream> {
    Stream::BOTH.into_iter().find(|stream| stream.name() == name)
}

/// A time of RFC 3339 as milliseconds since the Unix epoch; `None` also for times before it.
fn time(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let clock_end = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(clock_end);
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !in_range || !is_number(fraction) {
        return None;
    }
    let offset_minutes = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':')?;
            (hours * 60 + minutes) * if sign == "-" { -1 } else { 1 }
        }
    };
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    u64::try_from((minutes * 60 + second) * 1000 + ms).ok()
}

/// So many numbers, each of at most four digits.
fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[i64; COUNT]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; COUNT];
    for number in &mut numbers {
        let part =
            parts.next().filter(|part| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1 January 1970 in the Gregorian calendar, by years that begin in March, so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: Stream, text: &str, is_partial: bool) -> Option<Piece<'_>> {
        Some(Piece { stream, at_ms: 1_475_713_029_669, text: text.as_bytes().into(), is_partial })
    }

    #[test]
    fn records_of_cri_are_read() {
        let read = |rest: &str| cri(format!("2016-10-06T00:17:09.669794202Z {rest}").leak().as_bytes());
        assert_eq!(read("stdout P log content 1"), piece(Stream::Stdout, "log content 1", true));
        assert_eq!(read("stderr F  two  blanks "), piece(Stream::Stderr, " two  blanks ", false));
        assert_eq!(read("stdout F:tag x"), piece(Stream::Stdout, "x", false));
        assert_eq!(read("stdout F "), piece(Stream::Stdout, "", false));
        assert_eq!(read("stdout F"), piece(Stream::Stdout, "", false));
        for other in ["stdin F x", "stdout X x", "stdout", ""] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(cri(b"make: *** [all] Error 1"), None);
        assert_eq!(cri(b"\xff\xff stdout F x"), None);
    }

    #[test]
    fn records_of_docker_are_read() {
        let read = |log: &str, stream: &str| {
            let time = "2016-10-06T00:17:09.669794202Z";
            docker(serde_json::json!({"log": log, "stream": stream, "time": time}).to_string().as_bytes())
        };
        assert_eq!(read("a \"b\"\n", "stdout"), piece(Stream::Stdout, "a \"b\"", false));
        assert_eq!(read("part", "stderr"), piece(Stream::Stderr, "part", true));
        assert_eq!(read("\n", "stdout"), piece(Stream::Stdout, "", false));
        assert_eq!(read("x\n", "other"), None);
        for other in ["{", "text", "{\"log\":\"x\"}", "[1]", "null", ""] {
            assert_eq!(docker(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
        assert_eq!(time("2024-12-31T23:59:60Z"), Some(1_735_689_600_000));
        assert_eq!(time("2025-11-26T20:31:53.123456789+01:00"), Some(1_764_185_513_123));
        assert_eq!(time("2025-11-26T14:01:53.1-05:30"), Some(1_764_185_513_100));
        for no_time in [
            "",
            "now",
            "2025-11-26",
            "2025-11-26T19:31:53",
            "2025-13-26T19:31:53Z",
            "1969-12-31T23:59:59Z",
            "2025-11-26T19:31:53.Z",
            "2025-11-26T19:31Z",
            "2025-11-26T19:31:53Zx",
            "2025-11-26T+9:31:53Z",
            "T:Z",
        ] {
            assert_eq!(time(no_time), None, "{no_time}");
        }
    }
}
