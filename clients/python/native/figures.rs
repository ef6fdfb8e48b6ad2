//! The hub's figures as a dict. Names are Python's; `hub/_stats.py` makes those of the second seed from them.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use watertight::Hub;

pub(crate) fn of(py: Python<'_>, hub: &Hub) -> PyResult<Py<PyDict>> {
    let (stats, counters) = (hub.stats(), hub.counters());
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let dict = PyDict::new(py);
    dict.set_item("sessions", stats.sessions)?;
    dict.set_item("events", stats.events)?;
    dict.set_item("subscribers", stats.subscribers)?;
    dict.set_item("used_bytes", stats.used_bytes)?;
    dict.set_item("rung", stats.rung.name())?;
    dict.set_item("uptime_ms", stats.uptime_ms)?;
    dict.set_item("stuck", hub.stuck())?;
    let owners = PyDict::new(py);
    for (owner, bytes) in &stats.owners {
        owners.set_item(owner, bytes)?;
    }
    dict.set_item("owners", owners)?;
    let ledger = PyDict::new(py);
    for (kind, counts) in &stats.ledger {
        ledger.set_item(kind, (counts.opened, counts.closed, counts.live()))?;
    }
    dict.set_item("ledger", ledger)?;
    let gaps = PyDict::new(py);
    for (reason, count) in counters.gaps_by_reason() {
        gaps.set_item(reason, count)?;
    }
    dict.set_item("gaps_by_reason", gaps)?;
    let ends = PyDict::new(py);
    for (end, count) in counters.ends() {
        ends.set_item(end, count)?;
    }
    dict.set_item("ends", ends)?;
    let counts = [
        ("events_published", &counters.events_published),
        ("events_delivered", &counters.events_delivered),
        ("gaps", &counters.gaps),
        ("slow_consumers", &counters.slow_consumers),
        ("events_expired", &counters.events_expired),
        ("events_shed", &counters.events_shed),
        ("sessions_expired", &counters.sessions_expired),
        ("cleanups", &counters.cleanups),
        ("last_cleanup_ms", &counters.last_cleanup_ms),
        ("pump_restarts", &counters.pump_restarts),
        ("keeper_restarts", &counters.keeper_restarts),
    ];
    for (name, counter) in counts {
        dict.set_item(name, read(counter))?;
    }
    Ok(dict.unbind())
}
