//! Content negotiation (RFC 9110, sections 12.5.1 and 12.5.3): how much a peer wants a media type, and whether it takes gzip.

use std::cmp::Ordering;

use http::{HeaderMap, HeaderValue, header};

/// Weights are counted in thousandths.
const FULL: u16 = 1000;

/// How a media type is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// 0 (not at all) to 1000.
    pub(crate) weight: u16,
    /// It is named itself, not only covered by a wildcard.
    pub(crate) is_named: bool,
}

impl Wanted {
    pub(crate) fn is_acceptable(self) -> bool {
        self.weight > 0
    }
}

/// How much whoever sent these headers wants `kind/subtype`; the most specific range that covers it decides. With no
/// range at all everything is accepted.
pub(crate) fn wanted(headers: &HeaderMap, kind: &str, subtype: &str) -> Wanted {
    let mut is_empty = true;
    let mut best: Option<(u8, u16)> = None;
    for range in ranges(headers) {
        is_empty = false;
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let Some(specificity) = covers(parts.next().unwrap_or_default(), kind, subtype) else { continue };
        let weight = parts.find_map(weight).unwrap_or(FULL);
        let is_better = best.is_none_or(|(known, weighs)| match specificity.cmp(&known) {
            Ordering::Greater => true,
            Ordering::Equal => weight > weighs,
            Ordering::Less => false,
        });
        if is_better {
            best = Some((specificity, weight));
        }
    }
    match best {
        None => Wanted { weight: if is_empty { FULL } else { 0 }, is_named: false },
        Some((specificity, weight)) => Wanted { weight, is_named: specificity == 2 },
    }
}

/// Whether whoever sent these headers takes an answer in gzip.
pub(crate) fn wants_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
    let (mut named, mut any) = (None, None);
    for coding in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut parts = coding.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_taken = parts.find_map(weight).unwrap_or(FULL) > 0;
        if name.eq_ignore_ascii_case(b"gzip") {
            named = named.or(Some(is_taken));
        } else if name == b"*" {
            any = any.or(Some(is_taken));
        }
    }
    named.or(any).unwrap_or(false)
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(header::ACCEPT).iter().map(HeaderValue::as_bytes);
    let ranges = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    ranges.filter(|range| !range.is_empty())
}

/// How specific a range is that covers a type: 2 if it names it. `None`: it does not cover it.
fn covers(range: &[u8], kind: &str, subtype: &str) -> Option<u8> {
    let at = range.iter().position(|byte| *byte == b'/')?;
    let (its_kind, its_subtype) = (&range[..at], &range[at + 1..]);
    let same = |one: &[u8], other: &str| one.eq_ignore_ascii_case(other.as_bytes());
    match (its_kind, its_subtype) {
        (b"*", b"*") => Some(0),
        (its_kind, b"*") if same(its_kind, kind) => Some(1),
        (its_kind, its_subtype) if same(its_kind, kind) && same(its_subtype, subtype) => Some(2),
        _ => None,
    }
}

/// The weight that a parameter gives, if it is one. What is no weight counts as a full one.
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let number = str::from_utf8(value).ok().and_then(|text| text.trim().parse::<f32>().ok());
    let thousandths = number.filter(|number| (0.0..=1.0).contains(number)).map(|number| number * 1000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
    Some(thousandths.map_or(FULL, |thousandths| thousandths.round() as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh(accept: &'static str, subtype: &str) -> (u16, bool) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let wanted = wanted(&headers, "text", subtype);
        (wanted.weight, wanted.is_named)
    }

    #[test]
    fn the_most_specific_range_decides_and_its_weight_counts() {
        for (accept, subtype, expected) in [
            ("text/plain", "plain", (1000, true)),
            ("TEXT/Plain; q=0.5", "plain", (500, true)),
            ("text/*;q=0.3, */*;q=0.1", "plain", (300, false)),
            ("*/*;q=0.1, text/plain;q=0", "plain", (0, true)),
            ("*/*, text/plain;q=0.001", "plain", (1, true)),
            ("text/plain;version=0.0.4;q=0.3,text/plain;q=0.2", "plain", (300, true)),
            ("image/png", "plain", (0, false)),
            ("text/plain;q=often", "plain", (1000, true)),
            (" , ", "plain", (1000, false)),
        ] {
            assert_eq!(weigh(accept, subtype), expected, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new(), "text", "plain").weight, 1000);
    }
}
