//! A hub's answers for tests, written as a hub writes them.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Connections, Sessions};
use super::exposition::Exposition;
use super::hub::{Look, Trouble};
use super::model::Model;

/// What a hub answers.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) stats: Value,
    pub(super) metrics: String,
    pub(super) sessions: Value,
    pub(super) connections: Value,
}

impl Sample {
    /// A hub with two sessions and three connections, this old.
    pub(super) fn new(uptime: f64) -> Self {
        let published = (uptime * 100.0) as u64;
        Self {
            stats: json!({
                "memoryUsageMB": 12.3,
                "totalSessions": 2,
                "totalEvents": 1234,
                "totalSubscribers": 3,
                "metrics": {
                    "eventsPublished": published, "eventsDelivered": published * 10, "eventsExpired": 0,
                    "eventsShed": 0, "gaps": 0, "slowConsumers": 0, "sessionsExpired": 0, "cleanupCount": 1,
                    "lastCleanupMs": 0, "connectionsRefused": 0, "pumpRestarts": 0, "keeperRestarts": 0,
                    "sourcesStarted": 0, "sourceErrors": 0, "serviceSamples": 0, "logLinesDropped": 0,
                },
                "ledger": {
                    "connection": { "opened": 20, "closed": 16, "live": 4 },
                    "subscription": { "opened": 13, "closed": 10, "live": 3 },
                    "session": { "opened": 2, "closed": 0, "live": 2 },
                    "redisSubscription": { "opened": 0, "closed": 0, "live": 0 },
                },
                "budget": {
                    "usedBytes": 3_000_000, "observedBytes": 12_900_000, "warningBytes": 402_653_184,
                    "criticalBytes": 483_183_820, "level": "normal", "owners": {},
                },
                "process": { "pid": 4711, "uptimeSeconds": uptime, "version": "0.1.0" },
            }),
            metrics: format!(
                "watertight_delivery_duration_seconds_bucket{{le=\"0.001\"}} {}\n\
                 watertight_delivery_duration_seconds_bucket{{le=\"0.0025\"}} {published}\n\
                 watertight_delivery_duration_seconds_bucket{{le=\"+Inf\"}} {published}\n\
                 watertight_responses_total{{code=\"200\"}} 70\n\
                 watertight_responses_total{{code=\"401\"}} 3\n",
                published / 2
            ),
            sessions: json!({
                "sessions": [
                    session("builds", uptime as u64 * 20, 5),
                    session("demo", uptime as u64 * 30, 1_200),
                ],
                "total": 2, "next": null,
            }),
            connections: json!({
                "connections": [
                    connection("p0-1", "demo", Some("ada"), 7, false),
                    connection("p0-2", "demo", None, 1_234, true),
                    connection("t-1", "builds", Some("grace"), 0, false),
                ],
                "total": 3, "next": null,
            }),
        }
    }

    pub(super) fn look(&self) -> Result<Look, Trouble> {
        let read = |value: &Value| serde_json::from_value(value.clone()).expect("as a hub writes it");
        Ok(Look {
            stats: serde_json::from_value(self.stats.clone()).expect("as a hub writes it"),
            metrics: Ok(Exposition::parse(&self.metrics)),
            sessions: Ok(read(&self.sessions)),
            connections: serde_json::from_value::<Connections>(self.connections.clone())
                .map_err(Trouble::new),
        })
    }
}

pub(super) fn session(name: &str, sequence: u64, bytes: u64) -> Value {
    json!({
        "session": name, "state": "open", "endedAt": null, "keptForSeconds": null, "subscribers": name.len(),
        "events": 617, "bytes": bytes * 1024, "before": "9-0", "newest": format!("9-{sequence}"),
        "idleSeconds": 0.5, "source": null,
    })
}

pub(super) fn connection(id: &str, session: &str, user: Option<&str>, lag: u64, stalled: bool) -> Value {
    json!({
        "id": id, "kind": "session", "user": user, "session": session, "delivery": "socket", "ageSeconds": 3723.0,
        "sent": lag * 10 + 3, "received": 0, "lag": lag, "stalled": stalled, "errors": 0, "validations": 0,
        "source": null,
    })
}

/// A page that has looked twice, two seconds apart.
pub(super) fn model(change: impl Fn(&mut Sample)) -> Model {
    let mut model = Model::new("http://127.0.0.1:8080".into(), Duration::from_secs(2));
    for uptime in [1000.0, 1002.0] {
        let mut sample = Sample::new(uptime);
        change(&mut sample);
        model.looked(sample.look(), Duration::from_secs_f64(uptime - 1000.0));
    }
    model
}

#[test]
fn the_sample_is_read() {
    let sample = Sample::new(5.0);
    assert!(sample.look().is_ok_and(|look| look.sessions.is_ok() && look.connections.is_ok()));
    assert!(serde_json::from_value::<Sessions>(sample.connections).is_err());
}
