//! The few figures that only `GET /metrics` has: a histogram, and answers by status code. Knows the hub's own text, one
//! series in a line with one label, and no more of the format.

/// How long events took from being accepted until they were handed to readers who keep up.
const HISTOGRAM: &str = "watertight_delivery_duration_seconds_bucket{le=\"";
const RESPONSES: &str = "watertight_responses_total{code=\"";

/// Series of one name that are kept; a hub has 18 and 22.
const SERIES_MAX: usize = 64;

/// Figures of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Exposition {
    /// The upper end of each bucket in seconds, and how many took no longer. In order.
    pub(super) latency: Vec<(f64, u64)>,
    /// Status codes and how often they were given, without those that never were.
    pub(super) responses: Vec<(u16, u64)>,
}

impl Exposition {
    /// Reads what it knows; the rest may be anything.
    pub(super) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines() {
            if let Some((end, count)) = series(line, HISTOGRAM) {
                let end = if end == "+Inf" { Some(f64::INFINITY) } else { end.parse().ok() };
                // Out of order it is no histogram.
                let last = read.latency.last().map_or(0.0, |(last, _): &(f64, u64)| *last);
                if let Some(end) = end.filter(|end| *end > last && read.latency.len() < SERIES_MAX) {
                    read.latency.push((end, count));
                }
            } else if let Some((code, count)) = series(line, RESPONSES)
                && let Ok(code) = code.parse()
                && count > 0
                && read.responses.len() < SERIES_MAX
            {
                read.responses.push((code, count));
            }
        }
        read
    }

    /// How long the deliveries since `before` took, as a histogram of their own.
    pub(super) fn latency_since(&self, before: &Self) -> Vec<(f64, u64)> {
        let ends = |of: &Self| of.latency.iter().map(|(end, _)| *end).collect::<Vec<_>>();
        if ends(self) != ends(before) {
            return Vec::new();
        }
        let pairs = self.latency.iter().zip(&before.latency);
        pairs.map(|((end, now), (_, then))| (*end, now.saturating_sub(*then))).collect()
    }
}

fn series<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, u64)> {
    let (label, count) = line.strip_prefix(prefix)?.split_once("\"} ")?;
    Some((label, count.trim().parse().ok()?))
}

/// What so great a share took no longer than, in seconds, as Prometheus' `histogram_quantile` estimates it: between the ends
/// of a bucket all are taken to be spread evenly. `None`: nothing was measured.
pub(super) fn quantile(buckets: &[(f64, u64)], share: f64) -> Option<f64> {
    let count = buckets.last().map_or(0, |(_, count)| *count);
    let rank = share * count as f64;
    let at = buckets.iter().position(|(_, below)| *below as f64 >= rank && *below > 0)?;
    let (begin, below) = at.checked_sub(1).and_then(|at| buckets.get(at)).copied().unwrap_or((0.0, 0));
    let (end, up_to) = buckets[at];
    if end.is_infinite() {
        // All that can be told is that it took longer than this.
        return Some(begin);
    }
    let within = up_to.saturating_sub(below).max(1) as f64;
    Some(begin + (end - begin) * ((rank - below as f64) / within).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP watertight_delivery_duration_seconds How long\n\
        # TYPE watertight_delivery_duration_seconds histogram\n\
        watertight_delivery_duration_seconds_sum 0.1\n\
        watertight_delivery_duration_seconds_count 10\n\
        watertight_delivery_duration_seconds_bucket{le=\"0.001\"} 2\n\
        watertight_delivery_duration_seconds_bucket{le=\"0.01\"} 6\n\
        watertight_delivery_duration_seconds_bucket{le=\"+Inf\"} 10\n\
        watertight_responses_total{code=\"200\"} 7\n\
        watertight_responses_total{code=\"401\"} 0\n\
        watertight_responses_total{code=\"429\"} 3\n\
        watertight_responses_total{code=\"other\"} 3\n";

    #[test]
    fn a_histogram_and_the_status_codes_are_found_in_the_text() {
        let read = Exposition::parse(TEXT);
        assert_eq!(read.latency, [(0.001, 2), (0.01, 6), (f64::INFINITY, 10)]);
        assert_eq!(read.responses, [(200, 7), (429, 3)]);
    }

    #[test]
    fn what_is_no_metrics_text_gives_nothing_and_is_not_kept() {
        let hostile = [HISTOGRAM, RESPONSES].map(|prefix| {
            let series = (0..100_000).map(|number| format!("{prefix}{number}\"}} 1\n"));
            series.collect::<String>()
        });
        let read = Exposition::parse(&hostile.concat());
        assert!(read.latency.len() <= SERIES_MAX && read.responses.len() <= SERIES_MAX);
        for text in
            ["", "<html>", "watertight_responses_total{code=\"x\"} 1", "watertight_responses_total{code=\""]
        {
            assert_eq!(Exposition::parse(text), Exposition::default(), "{text}");
        }
        let backwards = format!("{HISTOGRAM}2\"}} 1\n{HISTOGRAM}1\"}} 5\n{HISTOGRAM}NaN\"}} 5\n");
        assert_eq!(Exposition::parse(&backwards).latency, [(2.0, 1)]);
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let buckets = Exposition::parse(TEXT).latency;
        // Five of ten: three of the four between 1 ms and 10 ms.
        for (share, seconds) in [(0.5, 0.001 + 0.009 * 0.75), (0.1, 0.0005)] {
            assert!((quantile(&buckets, share).unwrap() - seconds).abs() < 1e-9, "{share}");
        }
        assert_eq!(quantile(&buckets, 0.99), Some(0.01), "longer than the last end");
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(0.1, 0), (f64::INFINITY, 0)], 0.5), None);
    }

    #[test]
    fn latency_of_an_interval_leaves_out_what_was_before() {
        let before = Exposition::parse(TEXT);
        let mut after = before.clone();
        (after.latency[1].1, after.latency[2].1) = (16, 20);
        let buckets = after.latency_since(&before);
        assert_eq!(buckets, [(0.001, 0), (0.01, 10), (f64::INFINITY, 10)]);
        assert!((quantile(&buckets, 1.0).unwrap() - 0.01).abs() < 1e-9);
        assert_eq!(after.latency_since(&Exposition::default()), []);
    }
}
