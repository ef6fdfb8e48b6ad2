"""The seed's ``BroadcasterConfig``: nine names with their defaults, and what each does."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from watertight_sse.hub import Broadcaster, BroadcasterConfig, QueueEnd, QueueGap, SSEEvent

from .ledger import eventually

DEFAULTS = {
    "max_queue_size": 1000,
    "max_history_per_session": 500,
    "event_ttl": 300.0,
    "session_ttl": 1800.0,
    "cleanup_interval": 60.0,
    "enable_metrics": True,
    "max_subscriber_idle_time": 600.0,
    "memory_warning_threshold_mb": 500.0,
    "memory_critical_threshold_mb": 1000.0,
}


async def test_the_names_and_defaults_are_the_seeds() -> None:
    assert asdict(BroadcasterConfig()) == DEFAULTS


async def test_backend_configuration() -> None:
    # Configure memory limits based on your needs
    config = BroadcasterConfig(
        max_queue_size=500,  # Adjust based on expected concurrent users
        max_history_per_session=100,  # Adjust based on UI requirements
        event_ttl=300.0,  # 5 minutes - adjust based on data freshness needs
        session_ttl=1800.0,  # 30 minutes - adjust based on user session length
        cleanup_interval=60.0,  # 1 minute - more frequent for high-load systems
    )
    async with Broadcaster(config) as broadcaster:
        assert broadcaster.config is config


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_queue_size": 0}, "max_queue_size = 0: a whole number from 1 to 1e+07 would do"),
    ({"max_queue_size": 1.5}, "max_queue_size = 1.5: a whole number from 1 to 1e+07 would do"),
    ({"max_queue_size": True}, "max_queue_size = True: a whole number from 1 to 1e+07 would do"),
    (
        {"max_history_per_session": -1},
        "max_history_per_session = -1: a whole number from 0 to 1e+07 would do",
    ),
    ({"event_ttl": 0}, "event_ttl = 0: a number from 0.001 to 3.1536e+08 would do, or None"),
    ({"event_ttl": "5m"}, "event_ttl = '5m': a number from 0.001 to 3.1536e+08 would do, or None"),
    ({"session_ttl": None}, "session_ttl = None: a number from 0.001 to 3.1536e+08 would do"),
    (
        {"cleanup_interval": float("nan")},
        "cleanup_interval = nan: a number from 0.001 to 3.1536e+08 would do",
    ),
    ({"enable_metrics": 1}, "enable_metrics = 1: True or False would do"),
    (
        {"memory_warning_threshold_mb": 1000},
        "memory_critical_threshold_mb = 1000.0: more than memory_warning_threshold_mb (1000) would do",
    ),
    (
        {"max_queue_size": 0, "session_ttl": -1},
        "max_queue_size = 0: a whole number from 1 to 1e+07 would do; "
        "session_ttl = -1: a number from 0.001 to 3.1536e+08 would do",
    ),
]


@pytest.mark.parametrize(("figures", "said"), WRONG)
async def test_a_figure_that_makes_no_sense_is_named_with_its_value_and_what_would_do(
    figures: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match="would do") as raised:
        BroadcasterConfig(**figures)
    assert str(raised.value) == said


async def test_max_queue_size_is_how_far_a_subscriber_may_be_behind() -> None:
    config = BroadcasterConfig(max_queue_size=10)
    async with Broadcaster(config) as broadcaster, broadcaster.subscribe("s") as queue:
        for number in range(25):
            broadcaster.broadcast_nowait("s", str(number))
        gap = await queue.get(timeout=5)
        assert isinstance(gap, QueueGap)
        assert (gap.missed, gap.reason) == (15, "lagged")
        assert [(await queue.get(timeout=5)).data for _ in range(10)] == [str(n) for n in range(15, 25)]


async def test_max_history_per_session_is_how_much_a_newcomer_can_replay() -> None:
    async with Broadcaster(BroadcasterConfig(max_history_per_session=3)) as broadcaster:
        await broadcaster.broadcast_many("s", [str(number) for number in range(10)])
        async with broadcaster.subscribe("s", replay="all") as queue:
            gap = await queue.get(timeout=5)
            assert isinstance(gap, QueueGap)
            assert (gap.missed, gap.reason) == (7, "evicted")
            assert [(await queue.get(timeout=5)).data for _ in range(3)] == ["7", "8", "9"]


async def test_event_ttl_is_how_long_an_event_lives_unless_it_says_so_itself() -> None:
    async with Broadcaster(BroadcasterConfig(event_ttl=0.02)) as broadcaster:
        await broadcaster.broadcast("s", "short")
        await broadcaster.broadcast("s", SSEEvent(type="message", data="long", ttl=60.0))
        await eventually(lambda: _cleaned(broadcaster) == 1, "the first has expired")
        async with broadcaster.subscribe("s", replay="all") as queue:
            gap = await queue.get(timeout=5)
            assert isinstance(gap, QueueGap)
            assert (gap.missed, gap.reason) == (1, "expired")
            assert (await queue.get(timeout=5)).data == "long"


def _cleaned(broadcaster: Broadcaster) -> int:
    broadcaster.clean_up()
    return broadcaster.get_stats()["totalEvents"]


async def test_session_ttl_and_cleanup_interval_let_sessions_go_by_themselves() -> None:
    async with Broadcaster(BroadcasterConfig(session_ttl=0.02, cleanup_interval=0.02)) as broadcaster:
        await broadcaster.broadcast("s", "hello")
        await eventually(lambda: broadcaster.get_stats()["totalSessions"] == 0, "the session has gone")
        counted = broadcaster.get_stats
        await eventually(lambda: counted()["metrics"]["cleanupCount"] > 0, "the cleanup was counted")


async def test_a_session_with_a_subscriber_stays() -> None:
    config = BroadcasterConfig(session_ttl=0.02, cleanup_interval=0.02)
    async with Broadcaster(config) as broadcaster, broadcaster.subscribe("s") as queue:
        cleaned = broadcaster.get_stats
        await eventually(lambda: cleaned()["metrics"]["cleanupCount"] > 3, "it was cleaned up")
        await broadcaster.broadcast("s", "still here")
        assert (await queue.get(timeout=5)).data == "still here"


async def test_max_subscriber_idle_time_closes_who_leaves_unread_what_waits() -> None:
    async with Broadcaster(BroadcasterConfig(max_subscriber_idle_time=0.05)) as broadcaster:
        async with broadcaster.subscribe("s") as waits, broadcaster.subscribe("s") as leaves:
            with pytest.raises(asyncio.TimeoutError):
                await leaves.get(timeout=0.01)  # it has begun to read
            broadcaster.broadcast_nowait("s", "unread")
            assert (await waits.get(timeout=5)).data == "unread"
            await eventually(lambda: broadcaster.get_stats()["totalSubscribers"] == 1, "it was closed")
            end = await leaves.get(timeout=5)
            assert isinstance(end, QueueEnd)
            assert end.code == "SLOW_CONSUMER"
            assert not waits.closed
        assert broadcaster.get_stats()["metrics"]["slowConsumers"] == 1


async def test_memory_thresholds_bound_what_the_hub_holds_whatever_is_published() -> None:
    config = BroadcasterConfig(
        memory_warning_threshold_mb=4, memory_critical_threshold_mb=8, max_history_per_session=10_000
    )
    async with Broadcaster(config) as broadcaster:
        most = 0.0
        for number in range(400):
            broadcaster.broadcast_nowait(f"session-{number % 50}", "x" * 200_000)
            most = max(most, broadcaster.get_stats()["memoryUsageMB"])
        assert most <= 8.0
        assert most > 4.0, "80 MB were published"
