//! Figures as short texts: none is wider than nine columns, whatever a hub says.

/// Text of anybody in exactly this many columns: escaped, cut with a tilde, filled with blanks.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let (mut fitted, width) = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns - width));
    fitted
}

/// The same on the right.
pub(super) fn fit_right(text: &str, columns: usize) -> String {
    let (fitted, width) = cut(text, columns);
    format!("{}{fitted}", " ".repeat(columns - width))
}

/// As much of a text as there are columns for, and its width.
pub(super) fn cut(text: &str, columns: usize) -> (String, usize) {
    use unicode_width::UnicodeWidthChar;

    let mut plain = String::new();
    // No more than can matter: a name may be long.
    for character in text.chars().take(4 * columns + 1) {
        crate::plain::push_escaped(&mut plain, character);
    }
    let mut fitted = String::new();
    let (mut width, mut marks) = (0, 0);
    let mut characters = plain.chars().peekable();
    while let Some(character) = characters.next() {
        let columns_of = character.width().unwrap_or(0);
        // Marks on a character take no column, but there may be thousands of them.
        marks = if columns_of == 0 { marks + 1 } else { 0 };
        if marks > MARKS_MAX {
            continue;
        }
        let room = columns - width;
        let is_last = characters.peek().is_none();
        if columns_of > room || (columns_of == room && columns_of > 0 && !is_last) {
            if room > 0 {
                fitted.push('~');
                width += 1;
            }
            break;
        }
        fitted.push(character);
        width += columns_of;
    }
    (fitted, width)
}

/// Combining marks on one character that are shown.
const MARKS_MAX: usize = 3;

/// `1,234`, `12.3M`.
pub(super) fn count(number: u64) -> String {
    if number >= 10_000_000 {
        return scaled(number as f64);
    }
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number a second: `0.4`, `1,234`, `12.3M`.
pub(super) fn rate(number: f64) -> String {
    if number < 10.0 { format!("{:.1}", number.max(0.0)) } else { count(number.round() as u64) }
}

fn scaled(number: f64) -> String {
    let (mut number, mut unit) = (number, "");
    for next in ["k", "M", "G", "T", "P", "E"] {
        if number < 999.95 {
            break;
        }
        (number, unit) = (number / 1000.0, next);
    }
    format!("{number:.1}{unit}")
}

/// `12.3 MiB`.
pub(super) fn bytes(number: u64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    let (mut number, mut unit) = (number as f64, "");
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if number < 1023.95 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    format!("{number:.1} {unit}")
}

/// A length of time in its largest units: `12s`, `4m10s`, `3h25m`, `12d3h`.
pub(super) fn span(seconds: f64) -> String {
    let all = seconds.clamp(0.0, 9_999.0 * 86_400.0) as u64;
    let (days, hours, minutes, seconds) = (all / 86_400, all / 3600 % 24, all / 60 % 60, all % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// A latency: `0.42 ms`, `12.3 ms`, `1.25 s`.
pub(super) fn latency(seconds: f64) -> String {
    match seconds * 1000.0 {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn figures_are_short_however_great_they_are() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (9_999_999, "9,999,999"), (10_000_000, "10.0M")]
        {
            assert_eq!(count(number), text);
        }
        for (number, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (12_900_000, "12.3 MiB")] {
            assert_eq!(bytes(number), text);
        }
        for (number, text) in [(0.04, "0.0"), (9.96, "10.0"), (1234.4, "1,234"), (-1.0, "0.0")] {
            assert_eq!(rate(number), text);
        }
        for (number, text) in
            [(0.9, "0s"), (250.0, "4m10s"), (12_345.0, "3h25m"), (1e6, "11d13h"), (-5.0, "0s")]
        {
            assert_eq!(span(number), text);
        }
        for (number, text) in [(0.000_42, "0.42 ms"), (0.0123, "12.3 ms"), (1.25, "1.25 s")] {
            assert_eq!(latency(number), text);
        }
        for text in
            [count(u64::MAX), bytes(u64::MAX), rate(f64::INFINITY), span(f64::INFINITY), span(f64::NAN)]
        {
            assert!(text.len() <= 9, "{text}");
        }
    }

    #[test]
    fn text_of_anybody_takes_exactly_the_columns_it_is_given() {
        for (text, columns, fitted) in [
            ("demo", 6, "demo  "),
            ("demo", 4, "demo"),
            ("demonstration", 6, "demon~"),
            ("", 2, "  "),
            ("x", 0, ""),
            ("水水水", 6, "水水水"),
            ("水水水", 5, "水水~"),
            ("水水水", 4, "水~ "),
            ("水", 1, "~"),
            ("a\u{1b}[2J", 12, "a\\u001b[2J  "),
            ("\u{202e}abc", 5, "\\u20~"),
            ("a\u{301}\u{301}\u{301}\u{301}\u{301}b", 3, "a\u{301}\u{301}\u{301}b "),
        ] {
            assert_eq!(fit(text, columns), fitted, "{text:?} in {columns}");
            assert_eq!(fit(text, columns).width(), columns, "{text:?} in {columns}");
        }
        assert_eq!(fit_right("12", 4), "  12");
        assert_eq!(fit_right("123456", 4), "123~");
        assert!(fit(&"\u{301}".repeat(1_000_000), 10).len() < 30);
    }
}
