//! Prometheus figures. They are read from the hub's own ledger, budget and counters at each scrape; the only
//! labels are kinds, owners and reasons of our own, so the number of series never changes.
//!
//! `access`: those of tokens and rights; `directory`: those of the directory; `process`: those of the process; `requests`: those of the
//! routes; `refusals`: refusals by their code, for `/stats`.

mod access;
mod directory;
mod process;
mod refusals;
mod requests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use watertight::{Gate, Hub};
use watertight_core::{Kind, Owner};

use crate::access::Authorization;
use crate::dropped_lines::DroppedLines;
use crate::sources::logs::Counts as LogCounts;
use crate::sources::metrics::Sampled;
use crate::tls::Certificates;

use self::process::ProcessCollector;
pub(crate) use self::requests::Requests;

/// Renders the hub's figures.
#[derive(Debug)]
pub struct Metrics(Registry);

#[derive(Debug)]
struct HubCollector {
    hub: Hub,
    gate: Gate,
    dropped_lines: DroppedLines,
    /// `None`: the hub speaks no TLS.
    certificates: Option<Arc<Certificates>>,
    requests: Arc<Requests>,
    access: Arc<Authorization>,
    sampled: Arc<Sampled>,
    logs: Arc<LogCounts>,
}

/// What is read beside the hub and its gate.
type Sources = (
    DroppedLines,
    Option<Arc<Certificates>>,
    Arc<Requests>,
    Arc<Authorization>,
    Arc<Sampled>,
    Arc<LogCounts>,
);

impl Metrics {
    /// The figures of this hub, this gate, the log, the certificate, the routes, the directory and the samplers.
    pub(crate) fn new(
        hub: &Hub,
        gate: &Gate,
        (dropped_lines, certificates, requests, access, sampled, logs): Sources,
    ) -> Metrics {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector));
        registry.sub_registry_with_prefix("watertight").register_collector(Box::new(HubCollector {
            hub: hub.clone(),
            gate: gate.clone(),
            dropped_lines,
            certificates,
            requests,
            access,
            sampled,
            logs,
        }));
        Metrics(registry)
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// When formatting fails.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

impl Collector for HubCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.counters(&mut encoder)?;
        self.gauges(&mut encoder)?;
        self.reasons(&mut encoder)?;
        self.requests.encode(&mut encoder)?;
        let help = "How long events took from being accepted until they were handed to readers who keep up";
        let counts = self.hub.counters().deliveries.counts();
        requests::duration_histogram(&mut encoder, "delivery_duration_seconds", help, &counts)?;
        directory::encode(&self.access.directory, &mut encoder)?;
        access::encode(&self.hub, &self.access, &mut encoder)?;
        self.certificate(&mut encoder)?;
        self.ledger(&mut encoder)
    }
}

impl HubCollector {
    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = self.hub.counters();
        let rows = [
            ("events_published", "Events appended to logs", &counters.events_published),
            ("events_delivered", "Events handed to subscribers", &counters.events_delivered),
            ("events_expired", "Events let go because they expired", &counters.events_expired),
            ("events_shed", "Events let go under memory pressure", &counters.events_shed),
            ("slow_consumers", "Subscribers closed for reading too slowly", &counters.slow_consumers),
            ("sessions_expired", "Sessions removed after their time to live", &counters.sessions_expired),
            ("cleanups", "Cleanup passes", &counters.cleanups),
            ("pump_restarts", "Pumps that were started again", &counters.pump_restarts),
            ("keeper_restarts", "Times the keeper was started again", &counters.keeper_restarts),
            ("sources_started", "Sources of streams that were started", &counters.sources_started),
            ("source_errors", "Errors of sources", &counters.source_errors),
            ("service_samples", "Samples of services that were begun", &self.sampled.samples),
        ];
        for (name, help, value) in rows {
            counter(encoder, name, help, value.load(Relaxed))?;
        }
        for (name, help, value) in self.logs.all() {
            counter(encoder, name, help, value)?;
        }
        counter(encoder, "connections_refused", "Connections that found no room", self.gate.refused())?;
        let dropped = self.dropped_lines.count();
        counter(encoder, "log_lines_dropped", "Lines of the log that were dropped", dropped)
    }

    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.hub.stats();
        let rows = [
            ("sessions", "Sessions there are", stats.sessions),
            ("events", "Events in logs", stats.events),
            ("memory_observed_bytes", "Bytes the allocator holds", stats.observed_bytes),
            ("memory_warning_threshold_bytes", "Where the hub warns", self.hub.budget().warning_bytes()),
            (
                "memory_critical_threshold_bytes",
                "Where the hub begins to shed load",
                self.hub.budget().critical_bytes(),
            ),
            ("slowest_lag_events", "Greatest lag of a reader in the last minute", self.slowest_lag()),
            ("memory_level", "Rung of the memory ladder, 0 normal to 5", stats.rung as usize),
        ];
        for (name, help, value) in rows {
            gauge(encoder, name, help, value)?;
        }
        let mut family = encoder.encode_descriptor(
            "memory_used_bytes",
            "Bytes charged to the budget",
            None,
            MetricType::Gauge,
        )?;
        for owner in Owner::ALL {
            let bytes = i64::try_from(self.hub.budget().used_by(owner)).unwrap_or(i64::MAX);
            ConstGauge::new(bytes).encode(family.encode_family(&[("owner", owner.name())])?)?;
        }
        Ok(())
    }

    fn slowest_lag(&self) -> usize {
        usize::try_from(self.hub.counters().lag.get(self.hub.clock().now())).unwrap_or(usize::MAX)
    }

    /// What is counted by reason, and what this is.
    fn reasons(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = self.hub.counters();
        let help = "Gaps told to subscribers, by reason";
        let mut family = encoder.encode_descriptor("gaps", help, None, MetricType::Counter)?;
        for (reason, count) in counters.gaps_by_reason() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        let help = "Streams and long-polls that ended, by the reason in the log";
        let mut family = encoder.encode_descriptor("streams_ended", help, None, MetricType::Counter)?;
        for (reason, count) in counters.ends() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut family =
            encoder.encode_descriptor("build_info", "What is running; always 1", None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(family.encode_family(&version)?)
    }

    /// Nothing on a hub without TLS.
    fn certificate(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(certificates) = &self.certificates else { return Ok(()) };
        let metric = ConstGauge::new(certificates.expires());
        let name = "tls_certificate_expiry_timestamp_seconds";
        let help = "When the certificate in use runs out, seconds since the Unix epoch";
        metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        counter(
            encoder,
            "tls_certificate_reloads",
            "Certificates that replaced the one before",
            certificates.reloads(),
        )?;
        let help = "New certificates that were refused because they cannot be used";
        counter(encoder, "tls_certificates_refused", help, certificates.refused())
    }

    fn ledger(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let rows = [
            ("resources_opened", "Resources ever opened", false),
            ("resources_closed", "Resources closed again", true),
        ];
        for (name, help, is_closed) in rows {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for kind in Kind::ALL {
                let counts = self.hub.ledger().counts(kind);
                let count = if is_closed { counts.closed } else { counts.opened };
                ConstCounter::new(count).encode(family.encode_family(&[("kind", kind.name())])?)?;
            }
        }
        let mut family =
            encoder.encode_descriptor("resources_live", "Resources open now", None, MetricType::Gauge)?;
        for kind in Kind::ALL {
            let live = i64::try_from(self.hub.ledger().live(kind)).unwrap_or(i64::MAX);
            ConstGauge::new(live).encode(family.encode_family(&[("kind", kind.name())])?)?;
        }
        Ok(())
    }
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: usize,
) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}
