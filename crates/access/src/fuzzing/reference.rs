//! A slow, obvious matcher: tries everything that a star could stand for, and remembers what it has tried.

use crate::limits::PATH_BYTES_MAX;

/// Whether a path may be granted to anybody.
pub fn is_plain(path: &str) -> bool {
    let odd = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    path.len() <= PATH_BYTES_MAX && !path.split('/').any(odd)
}

/// Whether a path fits a pattern.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    // reached[i]: the patterns so far fit the first i segments.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for (at, segment) in path.iter().enumerate() {
            if part == "**" {
                // One segment or more, from wherever the patterns before have reached.
                next[at + 1] = reached[at] || next[at];
            } else {
                next[at + 1] = reached[at] && segment_matches(part, segment);
            }
        }
        reached = next;
    }
    reached[path.len()]
}

fn segment_matches(pattern: &str, segment: &str) -> bool {
    let segment: Vec<char> = segment.chars().collect();
    let mut reached = vec![false; segment.len() + 1];
    reached[0] = true;
    for part in pattern.chars() {
        let mut next = vec![false; segment.len() + 1];
        for at in 0..=segment.len() {
            if part == '*' {
                next[at] = reached[at] || (at > 0 && next[at - 1]);
            } else if at > 0 {
                next[at] = reached[at - 1] && segment[at - 1] == part;
            }
        }
        reached = next;
    }
    reached[segment.len()] && !segment.is_empty()
}
