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
use watertight::hub::{DurationCounts, Durations};

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

/// What the service answered.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    codes: [AtomicU64; CODES.len()],
    /// Accepted publishes.
    publishes: Durations,
    refusals: Refusals,
}

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
        self.publishes.note(took);
    }

    /// Refusals by their code.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refusals.all()
    }

    /// How long publishes have taken since the start.
    pub(crate) fn publish_times(&self) -> DurationCounts {
        self.publishes.counts()
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Answers given by the routes, by status code; a stream counts when it begins";
        let mut family = encoder.encode_descriptor("responses", help, None, MetricType::Counter)?;
        for ((_, label), count) in CODES.iter().zip(&self.codes) {
            ConstCounter::new(count.load(Relaxed)).encode(family.encode_family(&[("code", *label)])?)?;
        }
        let help = "How long accepted publishes took, from head to answer";
        duration_histogram(encoder, "publish_duration_seconds", help, &self.publish_times())
    }
}

/// A histogram of durations, in seconds.
pub(super) fn duration_histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: &DurationCounts,
) -> Result<(), fmt::Error> {
    let buckets: Vec<(f64, u64)> = counts.buckets().collect();
    let mut histogram = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    histogram.encode_histogram::<NoLabelSet>(counts.sum_seconds(), counts.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CODES;

    /// Given before any route is asked, so that it is not counted here.
    const BEFORE_ROUTES: &str = "431";

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
