"""The seed's example "Memory Leak Prevention Tests": ``test_memory_leak_under_load``, filled in."""

from __future__ import annotations

import asyncio
import gc

from watertight_sse.hub import Broadcaster, BroadcasterConfig, SSEEvent

from .ledger import assert_balanced, resident_bytes

SESSIONS = 200
ROUNDS = 5
EVENTS = 40
MEBIBYTE = 1024 * 1024


async def test_memory_leak_under_load() -> None:
    """Test that system doesn't leak memory under sustained load."""
    config = BroadcasterConfig(
        max_queue_size=100,
        max_history_per_session=100,
        event_ttl=300.0,
        session_ttl=0.05,
        cleanup_interval=60.0,
    )
    async with Broadcaster(config) as broadcaster:
        peaks: list[float] = []
        resident: list[int] = []
        for _ in range(ROUNDS):
            # Generate sustained load with many sessions and events
            read = await asyncio.gather(*(one(broadcaster, f"session-{at}") for at in range(SESSIONS)))
            assert read == [EVENTS] * SESSIONS
            # Verify memory usage remains bounded
            peaks.append(broadcaster.get_stats()["memoryUsageMB"])
            gc.collect()
            resident.append(resident_bytes())
        # A history holds 100 events: two rounds and a half fill it, and it grows no more.
        assert peaks[-1] <= peaks[2] * 1.01, peaks
        assert resident[-1] - resident[2] < 4 * MEBIBYTE, resident
        # Check that cleanup works properly
        await asyncio.sleep(0.06)  # longer than `session_ttl`: no event tells that it has passed
        broadcaster.clean_up()
        stats = broadcaster.get_stats()
        assert (stats["totalSessions"], stats["totalEvents"], stats["memoryUsageMB"]) == (0, 0, 0.0)
        assert stats["metrics"]["expiredSessions"] == SESSIONS
        assert_balanced(broadcaster)


async def one(broadcaster: Broadcaster, session_id: str) -> int:
    """Publishes to a session and reads all of it; how many came."""
    count = 0
    async with broadcaster.subscribe(session_id) as queue:
        for number in range(EVENTS):
            await broadcaster.broadcast(
                session_id, SSEEvent(type="tick", data={"n": number, "text": "x" * 200})
            )
        while count < EVENTS:
            event = await queue.get(timeout=10.0)
            assert event.json()["n"] == count
            count += 1
    return count
