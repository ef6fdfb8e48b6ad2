//! The hub's figures as JSON, for `/stats` and for its stream. O(1): nothing here walks sessions or takes a lock over them.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};
use watertight::hub::DurationCounts;

use crate::state::AppParts;

const MIB: f64 = 1024.0 * 1024.0;

/// How long things have taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Latency {
    deliveries: DurationCounts,
    publishes: DurationCounts,
}

impl Latency {
    /// Since the start.
    pub(crate) fn of(app: &AppParts) -> Latency {
        Latency {
            deliveries: app.hub.counters().deliveries.counts(),
            publishes: app.requests.publish_times(),
        }
    }

    /// Since an earlier look.
    pub(crate) fn since(&self, earlier: &Latency) -> Latency {
        Latency {
            deliveries: self.deliveries.since(&earlier.deliveries),
            publishes: self.publishes.since(&earlier.publishes),
        }
    }

    fn json(&self) -> Value {
        let quantiles =
            |of: &DurationCounts| json!({ "p50Ms": of.quantile_ms(0.5), "p99Ms": of.quantile_ms(0.99) });
        json!({ "delivery": quantiles(&self.deliveries), "publish": quantiles(&self.publishes) })
    }
}

/// The figures at this instant. `latency`: over what is to be told of.
pub(crate) fn figures(app: &AppParts, latency: &Latency) -> Value {
    let stats = app.hub.stats();
    let counters = app.hub.counters();
    let ledger: Map<String, Value> = stats
        .ledger
        .iter()
        .map(|(kind, counts)| {
            let live = counts.live();
            let row = json!({ "opened": counts.opened, "closed": counts.closed, "live": live });
            ((*kind).to_owned(), row)
        })
        .collect();
    let owners: Map<String, Value> =
        stats.owners.iter().map(|(owner, bytes)| ((*owner).to_owned(), json!(bytes))).collect();
    // The gate refuses before any route is asked.
    let refusals = app.requests.refusals().chain([("TOO_MANY_CONNECTIONS", app.gate.refused())]);
    let memory = stats.used_bytes.max(stats.observed_bytes);
    json!({
        "memoryUsageMB": memory as f64 / MIB,
        "totalSessions": stats.sessions,
        "totalEvents": stats.events,
        "totalSubscribers": stats.subscribers,
        "metrics": {
            "eventsPublished": counters.events_published.load(Relaxed),
            "eventsDelivered": counters.events_delivered.load(Relaxed),
            "eventsExpired": counters.events_expired.load(Relaxed),
            "eventsShed": counters.events_shed.load(Relaxed),
            "gaps": counters.gaps.load(Relaxed),
            "slowConsumers": counters.slow_consumers.load(Relaxed),
            "sessionsExpired": counters.sessions_expired.load(Relaxed),
            "cleanupCount": counters.cleanups.load(Relaxed),
            "lastCleanupMs": counters.last_cleanup_ms.load(Relaxed),
            "connectionsRefused": app.gate.refused(),
            "pumpRestarts": counters.pump_restarts.load(Relaxed),
            "keeperRestarts": counters.keeper_restarts.load(Relaxed),
            "sourcesStarted": counters.sources_started.load(Relaxed),
            "sourceErrors": counters.source_errors.load(Relaxed),
            "serviceSamples": app.sampled.samples.load(Relaxed),
            "logLinesDropped": app.dropped_lines.count(),
        },
        "latency": latency.json(),
        "gapsByReason": counted(counters.gaps_by_reason()),
        "closesByReason": counted(counters.ends()),
        "refusalsByReason": counted(refusals.filter(|(_, count)| *count > 0)),
        "ledger": ledger,
        "budget": {
            "usedBytes": stats.used_bytes,
            "observedBytes": stats.observed_bytes,
            "warningBytes": app.hub.budget().warning_bytes(),
            "criticalBytes": app.hub.budget().critical_bytes(),
            "level": stats.rung.name(),
            "owners": owners,
        },
        "process": {
            "pid": std::process::id(),
            "uptimeSeconds": stats.uptime_ms as f64 / 1000.0,
            "version": env!("CARGO_PKG_VERSION"),
        },
    })
}

fn counted(counts: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counts.map(|(name, count)| (name.to_owned(), count.into())).collect()
}
