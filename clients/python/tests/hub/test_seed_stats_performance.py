"""The seed's example "Performance Regression Tests": ``test_stats_performance_under_load``, filled in."""

from __future__ import annotations

import time

from watertight_sse.hub import Broadcaster

SESSIONS = 2_000
SUBSCRIBERS = 2_000
LOOKS = 200
LOOK_SECONDS_MAX = 0.001
"""A look takes some ten microseconds; walking over the sessions would take tens of milliseconds."""


async def test_stats_performance_under_load(broadcaster: Broadcaster) -> None:
    """Test that stats collection doesn't impact performance."""
    for at in range(SESSIONS):
        broadcaster.broadcast_nowait(f"session-{at}", "event")
    queues = [await broadcaster.add_subscriber(f"session-{at % SESSIONS}") for at in range(SUBSCRIBERS)]
    # Measure stats collection time
    times: list[float] = []
    stats = broadcaster.get_stats()
    for _ in range(LOOKS):
        begun = time.perf_counter()
        stats = broadcaster.get_stats()
        times.append(time.perf_counter() - begun)
    # Ensure it stays under acceptable thresholds
    assert sorted(times)[LOOKS // 2] < LOOK_SECONDS_MAX, sorted(times)[LOOKS // 2]
    assert (stats["totalSessions"], stats["totalSubscribers"]) == (SESSIONS, SUBSCRIBERS)
    assert stats["totalEvents"] == SESSIONS
    for queue in queues:
        queue.close()
