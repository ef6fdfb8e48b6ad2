//! One pattern of a grant: a path in which `*` is any run of characters inside one segment and `**` is one or more whole
//! segments. Checked when it is made; matched from both ends inwards, so that no pattern makes matching slow.

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_SEGMENTS_MAX};

/// Stands for one or more segments.
const ANY_SEGMENTS: &str = "**";

/// Why a text is no pattern. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is too long.
    #[error("is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// It has too many segments.
    #[error("has more than {PATTERN_SEGMENTS_MAX} segments")]
    TooDeep,
    /// A segment is empty: two slashes in a row, or one at an end.
    #[error("has an empty segment (a slash at its start or end, or two in a row)")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("has a segment that is only dots, which no path has")]
    Dots,
    /// `**` stands beside other characters.
    #[error("has `**` beside other characters: it stands for whole segments")]
    StarsInSegment,
    /// `**` stands in it twice.
    #[error("has `**` twice")]
    StarsTwice,
    /// It has a control character in it.
    #[error("has a control character")]
    ControlCharacter,
}

/// A pattern that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    /// Checks a pattern.
    ///
    /// # Errors
    /// When it could match nothing, is too long, or has `**` where it cannot stand.
    pub fn new(text: &'a str) -> Result<Pattern<'a>, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPattern::ControlCharacter);
        }
        if text.split('/').count() > PATTERN_SEGMENTS_MAX {
            return Err(InvalidPattern::TooDeep);
        }
        let mut stars = 0;
        for segment in text.split('/') {
            match segment {
                "" => return Err(InvalidPattern::EmptySegment),
                "." | ".." => return Err(InvalidPattern::Dots),
                ANY_SEGMENTS => stars += 1,
                _ if segment.contains(ANY_SEGMENTS) => return Err(InvalidPattern::StarsInSegment),
                _ => {}
            }
        }
        if stars > 1 { Err(InvalidPattern::StarsTwice) } else { Ok(Pattern(text)) }
    }

    /// A text that [`Pattern::new`] accepted before.
    pub(super) fn checked(text: &'a str) -> Pattern<'a> {
        Pattern(text)
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether the pattern is about this path. Takes time proportional to the length of both.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut patterns = self.0.split('/');
        let mut segments = path.split('/');
        // From the front, up to the `**` if there is one.
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(ANY_SEGMENTS), Some(_)) => break,
                (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
                _ => return false,
            }
        }
        // From the back: one segment was taken for the `**`, and whatever is left in the middle is its, too.
        loop {
            match (patterns.next_back(), segments.next_back()) {
                (None, _) => return true,
                (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
                _ => return false,
            }
        }
    }
}

/// Whether one segment fits: what stands before the first star begins it, what stands after the last ends it, and
/// what stands between follows in order. Each part is looked for behind the one before it and never again, which
/// finds a match if there is one.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == segment };
    let (between, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    // A star alone is a segment of at least one character.
    if segment.is_empty() {
        return false;
    }
    let middle = segment.strip_prefix(prefix).and_then(|left| left.strip_suffix(suffix));
    let Some(mut middle) = middle else { return false };
    between.split('*').all(|part| match middle.find(part) {
        Some(at) => {
            middle = &middle[at + part.len()..];
            true
        }
        None => false,
    })
}
