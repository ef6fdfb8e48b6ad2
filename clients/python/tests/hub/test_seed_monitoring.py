"""The seed's examples "Monitoring Memory Usage" and "Backend Memory Metrics", with the import changed."""

from __future__ import annotations

import logging

import pytest

from watertight_sse.hub import Broadcaster, BroadcasterConfig

logger = logging.getLogger("app.utils.sse_broadcaster")


async def test_monitoring_memory_usage(broadcaster: Broadcaster, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        await broadcaster.broadcast(f"session-{number % 2}", {"type": "tick", "data": {"n": number}})
    # Get comprehensive memory statistics
    stats = broadcaster.get_stats()
    print(f"Memory usage: {stats['memoryUsageMB']:.1f} MB")
    print(f"Total sessions: {stats['totalSessions']}")
    print(f"Total events: {stats['totalEvents']}")
    assert capsys.readouterr().out == "Memory usage: 0.0 MB\nTotal sessions: 2\nTotal events: 10\n"
    assert 0 < stats["memoryUsageMB"] < 0.1


async def test_backend_memory_metrics(broadcaster: Broadcaster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broadcaster.clean_up()
    # Monitor broadcaster memory usage
    stats = broadcaster.get_stats()
    metrics = {
        "memory_mb": stats["memoryUsageMB"],
        "total_sessions": stats["totalSessions"],
        "total_events": stats["totalEvents"],
        "cleanup_count": stats["metrics"]["cleanupCount"],
    }

    # Send to monitoring service
    logger.info(f"SSE Memory Metrics: {metrics}")
    assert "'cleanup_count': 1" in caplog.text


async def test_every_byte_that_an_event_takes_is_told_until_it_is_gone(broadcaster: Broadcaster) -> None:
    await broadcaster.broadcast("s", "x" * 100_000)
    assert broadcaster.get_stats()["memoryUsageMB"] > 100_000 / 1024 / 1024
    await broadcaster.end("s", keep=0)
    broadcaster.clean_up()
    stats = broadcaster.get_stats()
    assert stats["totalSessions"] == 0
    assert stats["memoryByOwner"]["frames"] == 0


async def test_without_metrics_they_stay_at_zero() -> None:
    async with Broadcaster(BroadcasterConfig(enable_metrics=False)) as broadcaster:
        await broadcaster.broadcast("s", "x")
        stats = broadcaster.get_stats()
        assert (stats["metrics"]["eventsPublished"], stats["metrics"]["ends"]) == (0, {})
        assert (stats["totalSessions"], stats["totalEvents"]) == (1, 1)


async def test_a_broadcaster_that_was_not_started_or_was_stopped_has_figures_too() -> None:
    broadcaster = Broadcaster()
    assert not broadcaster.get_stats()["running"]
    await broadcaster.start()
    assert broadcaster.get_stats()["running"]
    assert broadcaster.get_stats()["stuck"] is None
    await broadcaster.stop()
    stats = broadcaster.get_stats()
    assert (stats["running"], stats["totalSessions"], stats["memoryUsageMB"]) == (False, 0, 0.0)
