//! Answers by status code, and how long publishers wait for theirs.
//!
//! The codes are a fixed list: the number of series never changes.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{Response, StatusCode};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::refusals::Refusals;
use crate::problem::RefusalCode;

/// The status codes that the service gives, as they are written in a label. The last is for all others.
const CODES: [(u16, &str); 22] = [
    (200, "200"),
    (202, "202"),
    (204, "204"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (421, "421"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (501, "501"),
    (503, "503"),
    (0, "other"),
];

/// The upper ends of the histogram's buckets, seconds. A publisher that is held back by its readers waits for up to 30 s.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the service answered.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    codes: [AtomicU64; CODES.len()],
    /// Accepted publishes by bucket; the last is for what takes longer than any.
    publishes: [AtomicU64; BUCKETS.len() + 1],
    publish_micros: AtomicU64,
    refusals: Refusals,
}

/// How long accepted publishes took, by bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishTimes([u64; BUCKETS.len() + 1]);

impl Requests {
    /// Counts an answer, and why it is a refusal if it is one.
    pub(crate) fn answered<B>(&self, answer: &Response<B>) {
        if let Some(RefusalCode(code)) = answer.extensions().get() {
            self.refusals.count(code);
        }
        self.answered_with(answer.status());
    }

    /// Counts an answer that is no refusal.
    pub(crate) fn answered_with(&self, status: StatusCode) {
        let code = status.as_u16();
        let at = CODES.iter().position(|(known, _)| *known == code).unwrap_or(CODES.len() - 1);
        self.codes[at].fetch_add(1, Relaxed);
    }

    /// Counts an accepted publish, and how long it took.
    pub(crate) fn published(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BUCKETS.iter().position(|end| seconds <= *end).unwrap_or(BUCKETS.len());
        self.publishes[at].fetch_add(1, Relaxed);
        self.publish_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Refusals by their code.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refusals.all()
    }

    /// How long publishes have taken since the start.
    pub(crate) fn publish_times(&self) -> PublishTimes {
        PublishTimes(std::array::from_fn(|at| self.publishes[at].load(Relaxed)))
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Answers given by the routes, by status code; a stream counts when it begins";
        let mut family = encoder.encode_descriptor("responses", help, None, MetricType::Counter)?;
        for ((_, label), count) in CODES.iter().zip(&self.codes) {
            ConstCounter::new(count.load(Relaxed)).encode(family.encode_family(&[("code", *label)])?)?;
        }
        let help = "How long accepted publishes took, from head to answer";
        let mut histogram =
            encoder.encode_descriptor("publish_duration_seconds", help, None, MetricType::Histogram)?;
        let ends = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            ends.zip(self.publishes.iter().map(|count| count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.publish_micros.load(Relaxed) as f64 / 1e6;
        histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl PublishTimes {
    /// Those since an earlier look.
    pub(crate) fn since(&self, earlier: &PublishTimes) -> PublishTimes {
        PublishTimes(std::array::from_fn(|at| self.0[at].saturating_sub(earlier.0[at])))
    }

    /// Which time this share of publishes did not exceed, milliseconds, as if the times within a bucket were spread
    /// evenly; the end of the last bucket for all beyond it. `None`: there were no publishes.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let all: u64 = self.0.iter().sum();
        let rank = all as f64 * share;
        let (mut below, mut start) = (0.0, 0.0);
        for (count, end) in self.0.iter().map(|count| *count as f64).zip(BUCKETS) {
            if count > 0.0 && below + count >= rank {
                return Some((start + (end - start) * (rank - below) / count) * 1e3);
            }
            (below, start) = (below + count, end);
        }
        (all > 0).then_some(start * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use std::time::Duration;

    use super::{CODES, Requests};

    /// Given before any route is asked, so that it is not counted here.
    const BEFORE_ROUTES: &str = "431";

    #[test]
    fn quantiles_lie_within_the_bucket_of_their_rank() {
        let requests = Requests::default();
        let before = requests.publish_times();
        assert_eq!(before.quantile_ms(0.99), None);
        for _ in 0..98 {
            requests.published(Duration::from_micros(200));
        }
        requests.published(Duration::from_millis(40));
        requests.published(Duration::from_secs(3600));
        let times = requests.publish_times();
        let quantile = |share| times.since(&before).quantile_ms(share).unwrap();
        assert!((0.4..0.6).contains(&quantile(0.5)), "{}", quantile(0.5));
        assert!((25.0..=50.0).contains(&quantile(0.99)), "{}", quantile(0.99));
        assert_eq!(quantile(1.0), 30_000.0, "beyond the last bucket");
        assert_eq!(times.since(&times).quantile_ms(0.5), None, "nothing since");
    }

    #[test]
    fn every_status_that_the_api_describes_has_a_series_of_its_own() {
        let text = include_str!("../../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(text).expect("it is read");
        let paths = document["paths"].as_object().expect("paths").values();
        let operations = paths.flat_map(|path| path.as_object().expect("a path").values());
        let answers = operations.filter_map(|operation| operation["responses"].as_object());
        let described: BTreeSet<&str> = answers.flat_map(|it| it.keys().map(String::as_str)).collect();
        assert!(described.len() > 10, "{described:?}");
        for code in described.into_iter().filter(|code| *code != BEFORE_ROUTES) {
            assert!(CODES.iter().any(|(_, label)| *label == code), "{code} would count as other");
        }
    }
}
