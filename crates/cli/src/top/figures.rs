//! What two looks at a hub say together: rates and latency of the time between them, and rows that can be compared. Pure.

use std::collections::HashMap;

use super::answer::{Connection, Name, Session, Stats};
use super::exposition::{Exposition, quantile};
use super::hub::{Look, Trouble};

/// All that the page shows of a hub.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) stats: Stats,
    /// `None` after the first look, and after a restart of the hub.
    pub(super) rates: Option<Rates>,
    pub(super) latency: Latency,
    /// Answers that refuse, by status code, since the hub's start.
    pub(super) refusals: Vec<(u16, u64)>,
    pub(super) sessions: List<SessionRow>,
    pub(super) connections: List<ConnectionRow>,
}

/// A second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) published: f64,
    pub(super) delivered: f64,
}

/// How long publishing took between the two looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Latency {
    /// The hub gives no such figures.
    Off,
    /// Nothing was published.
    Idle,
    /// Seconds.
    Of { p50: f64, p99: f64 },
}

/// A part of a list, at most [`super::answer::ROWS_MAX`] rows.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) rows: Vec<T>,
    /// How many there are in all.
    pub(super) total: u64,
    /// Why there are no rows.
    pub(super) trouble: Option<Trouble>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), total: 0, trouble: None }
    }
}

#[derive(Debug)]
pub(super) struct SessionRow {
    pub(super) session: Session,
    /// Events published a second; `None` where the look before has no such row.
    pub(super) rate: Option<f64>,
    /// Of its slowest subscriber among the rows.
    pub(super) lag: u64,
}

#[derive(Debug)]
pub(super) struct ConnectionRow {
    pub(super) connection: Connection,
    /// Events sent a second.
    pub(super) rate: Option<f64>,
}

/// What the next look is compared with.
#[derive(Debug)]
pub(super) struct Past {
    pid: u64,
    uptime: f64,
    published: u64,
    delivered: u64,
    exposition: Option<Exposition>,
    newest: HashMap<Name, Name>,
    sent: HashMap<Name, u64>,
}

/// Figures of a look, compared with the one before.
pub(super) fn compare(before: Option<&Past>, look: Look) -> (Figures, Past) {
    let Look { stats, metrics, sessions, connections } = look;
    let exposition = metrics.ok();
    let (sessions, sessions_total, sessions_trouble) = match sessions {
        Ok(page) => (page.sessions.0, page.total, None),
        Err(trouble) => (Vec::new(), 0, Some(trouble)),
    };
    let (connections, connections_total, connections_trouble) = match connections {
        Ok(page) => (page.connections.0, page.total, None),
        Err(trouble) => (Vec::new(), 0, Some(trouble)),
    };
    let past = Past {
        pid: stats.process.pid,
        uptime: stats.process.uptime_seconds,
        published: stats.metrics.events_published,
        delivered: stats.metrics.events_delivered,
        newest: sessions.iter().map(|row| (row.session.clone(), row.newest.clone())).collect(),
        sent: connections.iter().map(|row| (row.id.clone(), row.sent)).collect(),
        exposition: exposition.clone(),
    };
    // By the hub's own clock: however long answers took, its counters are as old as it says.
    let since = before.filter(|before| before.pid == past.pid);
    let since =
        since.map(|before| (before, past.uptime - before.uptime)).filter(|(_, seconds)| *seconds > 0.0);
    let rate = |now: u64, then: u64, seconds: f64| now.checked_sub(then).map(|count| count as f64 / seconds);
    let rates = since.and_then(|(before, seconds)| {
        Some(Rates {
            published: rate(past.published, before.published, seconds)?,
            delivered: rate(past.delivered, before.delivered, seconds)?,
        })
    });
    let mut lags: HashMap<&Name, u64> = HashMap::new();
    for row in &connections {
        let lag = lags.entry(&row.session).or_default();
        *lag = row.lag.max(*lag);
    }
    let session_rows = sessions.into_iter().map(|session| SessionRow {
        rate: since.and_then(|(before, seconds)| {
            rate(sequence(&session.newest, before.newest.get(&session.session)?)?, 0, seconds)
        }),
        lag: lags.get(&session.session).copied().unwrap_or_default(),
        session,
    });
    let session_rows = session_rows.collect();
    let connection_rows = connections.into_iter().map(|connection| ConnectionRow {
        rate: since
            .and_then(|(before, seconds)| rate(connection.sent, *before.sent.get(&connection.id)?, seconds)),
        connection,
    });
    let figures = Figures {
        rates,
        latency: latency(exposition.as_ref(), since.and_then(|(before, _)| before.exposition.as_ref())),
        refusals: exposition
            .map(|it| it.responses)
            .unwrap_or_default()
            .into_iter()
            .filter(is_refusal)
            .collect(),
        sessions: List { rows: session_rows, total: sessions_total, trouble: sessions_trouble },
        connections: List {
            rows: connection_rows.collect(),
            total: connections_total,
            trouble: connections_trouble,
        },
        stats,
    };
    (figures, past)
}

fn is_refusal((code, _): &(u16, u64)) -> bool {
    *code >= 400
}

/// How many events were published between two positions, `EPOCH-SEQUENCE`, of one history.
fn sequence(now: &Name, then: &Name) -> Option<u64> {
    let (epoch, now) = now.as_str().rsplit_once('-')?;
    let (epoch_then, then) = then.as_str().rsplit_once('-')?;
    if epoch != epoch_then {
        return None;
    }
    now.parse::<u64>().ok()?.checked_sub(then.parse().ok()?)
}

fn latency(now: Option<&Exposition>, then: Option<&Exposition>) -> Latency {
    let Some(now) = now.filter(|now| !now.latency.is_empty()) else { return Latency::Off };
    let buckets = then.map(|then| now.latency_since(then)).unwrap_or_default();
    match (quantile(&buckets, 0.5), quantile(&buckets, 0.99)) {
        (Some(p50), Some(p99)) => Latency::Of { p50, p99 },
        _ => Latency::Idle,
    }
}
