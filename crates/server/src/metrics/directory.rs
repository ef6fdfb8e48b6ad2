//! Figures of the directory. Answers and reasons are fixed lists: the number of series never changes.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::{counter, gauge};
use crate::directory::Directory;

pub(super) fn encode(directory: &Directory, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let figures = directory.figures();
    let rows = [
        ("directory_questions", "Questions put to the directory outside the hub", figures.questions()),
        ("directory_cache_hits", "Answers of the directory that were there already", figures.hits()),
        ("directory_shared", "Requests that waited for a question under way", figures.shared()),
    ];
    for (name, help, value) in rows {
        counter(encoder, name, help, value)?;
    }
    let help = "Answers that the directory gave, by what they say";
    let mut family = encoder.encode_descriptor("directory_answers", help, None, MetricType::Counter)?;
    for (answer, count) in figures.answers() {
        ConstCounter::new(count).encode(family.encode_family(&[("answer", answer)])?)?;
    }
    let help = "Questions to the directory without an answer, by the reason";
    let mut family = encoder.encode_descriptor("directory_errors", help, None, MetricType::Counter)?;
    for (reason, count) in figures.errors() {
        ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
    }
    let under_way = usize::try_from(figures.under_way()).unwrap_or(usize::MAX);
    gauge(encoder, "directory_questions_in_flight", "Questions to the directory under way", under_way)?;
    gauge(encoder, "directory_entries", "Answers of the directory that are kept", directory.entries())
}
