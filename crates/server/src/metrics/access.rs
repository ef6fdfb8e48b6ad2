//! Figures of tokens and of rights to streams.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use watertight::Hub;

use super::gauge;
use crate::access::Authorization;

pub(super) fn encode(
    hub: &Hub,
    access: &Authorization,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let counts = hub.access_counts();
    let answers = [("granted", counts.granted), ("denied", counts.denied), ("none", counts.unanswered)];
    let help =
        "Questions whether an open stream is still allowed, by their answer; none: there was no answer";
    labelled(encoder, "access_questions", help, "answer", &answers)?;
    super::counter(
        encoder,
        "access_withdrawn",
        "Rights that were revoked, or closed by an operator",
        counts.withdrawn,
    )?;
    let Some(tokens) = &access.tokens else { return Ok(()) };
    let help = "Requests by what became of their token";
    labelled(encoder, "tokens", help, "result", &tokens.counts.all())?;
    gauge(encoder, "revocations", "Revocations that are remembered", tokens.revoked.len())
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    rows: &[(&'static str, u64)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in rows {
        ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}
