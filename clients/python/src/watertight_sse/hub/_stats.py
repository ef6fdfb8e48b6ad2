"""The figures of a broadcaster, with the names of the application that it replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from watertight_sse.hub._config import MEBIBYTE, BroadcasterConfig

if TYPE_CHECKING:
    from watertight_sse._hub import Figures


class Counts(TypedDict):
    """How many of a resource were opened and closed, and how many there are: counted separately."""

    opened: int
    closed: int
    live: int


class Metrics(TypedDict):
    """Counts since the start."""

    cleanupCount: int
    lastCleanupMs: int
    eventsPublished: int
    eventsDelivered: int
    expiredEvents: int
    expiredSessions: int
    shedEvents: int
    slowConsumers: int
    gaps: int
    gapsByReason: dict[str, int]
    ends: dict[str, int]
    restarts: int


class Stats(TypedDict):
    """What ``get_stats()`` gives."""

    running: bool
    memoryUsageMB: float
    """What the hub holds, MiB: every byte that can grow is charged. Not the whole process."""
    memoryWarningThresholdMB: float
    memoryCriticalThresholdMB: float
    memoryPressure: str
    """Which measures are taken: ``normal``, or the highest rung of the ladder."""
    memoryByOwner: dict[str, int]
    """Bytes."""
    totalSessions: int
    totalEvents: int
    totalSubscribers: int
    uptimeMs: int
    stuck: str | None
    """Which of the hub's threads has made no turn for too long; ``None``: all work."""
    ledger: dict[str, Counts]
    metrics: Metrics
    """All 0 without ``enable_metrics``."""


def of_figures(figures: Figures, config: BroadcasterConfig) -> Stats:
    """The figures of a hub that runs."""
    return {
        "running": True,
        "memoryUsageMB": figures["used_bytes"] / MEBIBYTE,
        "memoryWarningThresholdMB": config.memory_warning_threshold_mb,
        "memoryCriticalThresholdMB": config.memory_critical_threshold_mb,
        "memoryPressure": figures["rung"],
        "memoryByOwner": figures["owners"],
        "totalSessions": figures["sessions"],
        "totalEvents": figures["events"],
        "totalSubscribers": figures["subscribers"],
        "uptimeMs": figures["uptime_ms"],
        "stuck": figures["stuck"],
        "ledger": {
            kind: {"opened": opened, "closed": closed, "live": live}
            for kind, (opened, closed, live) in figures["ledger"].items()
        },
        "metrics": _metrics(figures) if config.enable_metrics else _no_metrics(),
    }


def _metrics(figures: Figures) -> Metrics:
    return {
        "cleanupCount": figures["cleanups"],
        "lastCleanupMs": figures["last_cleanup_ms"],
        "eventsPublished": figures["events_published"],
        "eventsDelivered": figures["events_delivered"],
        "expiredEvents": figures["events_expired"],
        "expiredSessions": figures["sessions_expired"],
        "shedEvents": figures["events_shed"],
        "slowConsumers": figures["slow_consumers"],
        "gaps": figures["gaps"],
        "gapsByReason": figures["gaps_by_reason"],
        "ends": figures["ends"],
        "restarts": figures["pump_restarts"] + figures["keeper_restarts"],
    }


def _no_metrics() -> Metrics:
    return {
        "cleanupCount": 0,
        "lastCleanupMs": 0,
        "eventsPublished": 0,
        "eventsDelivered": 0,
        "expiredEvents": 0,
        "expiredSessions": 0,
        "shedEvents": 0,
        "slowConsumers": 0,
        "gaps": 0,
        "gapsByReason": {},
        "ends": {},
        "restarts": 0,
    }


def at_rest(config: BroadcasterConfig) -> Stats:
    """Those of a broadcaster that has not started, or was stopped."""
    return {
        "running": False,
        "memoryUsageMB": 0.0,
        "memoryWarningThresholdMB": config.memory_warning_threshold_mb,
        "memoryCriticalThresholdMB": config.memory_critical_threshold_mb,
        "memoryPressure": "normal",
        "memoryByOwner": {},
        "totalSessions": 0,
        "totalEvents": 0,
        "totalSubscribers": 0,
        "uptimeMs": 0,
        "stuck": None,
        "ledger": {},
        "metrics": _no_metrics(),
    }
