"""Cancelled at every await, ten thousand times each: nothing is left, neither in Python, nor in the hub, nor in the process."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from watertight_sse.hub import Broadcaster, BroadcasterConfig, Queue, _queue

from .ledger import assert_balanced, resident_bytes

CYCLES = 10_000
TRACED_BYTES_MAX = 64 * 1024
"""What Python may hold more after the cycles: caches of its own. One object forgotten in each cycle were ten times that."""
RESIDENT_BYTES_MAX = 1024 * 1024
"""The same for the process, after as many cycles to begin with."""

Scenario = Callable[[Broadcaster], Coroutine[Any, Any, None]]


async def waits_in_get(broadcaster: Broadcaster) -> None:
    """At the await of ``get()``."""
    async with broadcaster.subscribe("idle") as queue:
        await queue.get()


async def waits_in_get_with_a_timeout(broadcaster: Broadcaster) -> None:
    """The same with a timer."""
    async with broadcaster.subscribe("idle") as queue:
        await queue.get(timeout=30.0)


async def waits_in_async_for(broadcaster: Broadcaster) -> None:
    """At the await of ``__anext__``, after an event was read."""
    async with broadcaster.subscribe("busy", replay=1) as queue:
        async for _ in queue:
            pass


async def is_in_the_body(broadcaster: Broadcaster) -> None:
    """Between two events, with others given out and not read."""
    async with broadcaster.subscribe("busy", replay=3) as queue:
        async for _ in queue:
            await asyncio.sleep(30)


async def waits_in_a_stream(broadcaster: Broadcaster) -> None:
    """In the generator that a route writes."""
    async with broadcaster.subscribe("idle") as queue:
        async for _ in queue.stream():
            pass


async def pauses_for_the_loop(broadcaster: Broadcaster) -> None:
    """At the await that leaves the loop its turn."""
    async with broadcaster.subscribe("long", replay="all") as queue:
        async for _ in queue:
            pass


async def waits_to_publish(broadcaster: Broadcaster) -> None:
    """A publisher whose reader is behind: the event is published, the waiting given up."""
    async with broadcaster.subscribe("slow") as queue:
        await has_begun(queue)
        await broadcaster.broadcast_many("slow", ["x"] * 3)
        await broadcaster.broadcast("slow", "x")


async def waits_to_publish_many(broadcaster: Broadcaster) -> None:
    """The same before the batch is published: nothing of it is."""
    async with broadcaster.subscribe("slow") as queue:
        await has_begun(queue)
        broadcaster.broadcast_nowait("slow", "x")
        broadcaster.broadcast_nowait("slow", "x")
        broadcaster.broadcast_nowait("slow", "x")
        await broadcaster.broadcast_many("slow", ["x"] * 2)


async def has_begun(queue: Queue) -> None:
    """The queue reads: publishers wait for it."""
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


SCENARIOS: list[Scenario] = [
    waits_in_get,
    waits_in_get_with_a_timeout,
    waits_in_async_for,
    is_in_the_body,
    waits_in_a_stream,
    pauses_for_the_loop,
    waits_to_publish,
    waits_to_publish_many,
]


async def cancelled(scenario: Awaitable[Any]) -> None:
    """Begins it, lets it come to where it waits, and cancels it there."""
    task = asyncio.ensure_future(scenario)
    await asyncio.sleep(0)
    assert not task.done(), "it waits"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_ten_thousand_subscriptions_cancelled_here_leave_nothing(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_queue, "_TAKEN_WITHOUT_A_PAUSE_MAX", 8)
    async with Broadcaster(BroadcasterConfig(max_queue_size=4, max_history_per_session=20)) as broadcaster:
        broadcaster.broadcast_nowait("busy", "x")
        for _ in range(3):
            broadcaster.broadcast_nowait("busy", "x")
        for _ in range(20):
            broadcaster.broadcast_nowait("long", "x")
        for _ in range(CYCLES):
            await cancelled(scenario(broadcaster))
        gc.collect()
        stats, resident = broadcaster.get_stats(), resident_bytes()
        tracemalloc.start()
        try:
            traced = tracemalloc.get_traced_memory()[0]
            for _ in range(CYCLES):
                await cancelled(scenario(broadcaster))
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - traced
        finally:
            tracemalloc.stop()
        after = broadcaster.get_stats()
        assert_balanced(broadcaster)
        assert after["ledger"]["subscription"]["opened"] >= 2 * CYCLES
        assert grown < TRACED_BYTES_MAX, f"{grown} bytes in Python"
        assert resident_bytes() - resident < RESIDENT_BYTES_MAX, (
            f"{resident_bytes() - resident} bytes in the process"
        )
        assert after["memoryByOwner"] == stats["memoryByOwner"]
        assert after["totalSessions"] == stats["totalSessions"]


async def test_ten_thousand_gets_of_one_queue_cancelled_leave_nothing(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("idle") as queue:
        for timeout in (None, 30.0):
            await cancelled(queue.get(timeout))
            gc.collect()
            tracemalloc.start()
            try:
                traced = tracemalloc.get_traced_memory()[0]
                for _ in range(CYCLES):
                    await cancelled(queue.get(timeout))
                gc.collect()
                assert tracemalloc.get_traced_memory()[0] - traced < TRACED_BYTES_MAX
            finally:
                tracemalloc.stop()


async def test_a_stop_that_is_cancelled_goes_on_and_can_be_waited_for_again() -> None:
    broadcaster = Broadcaster()
    queue = await broadcaster.add_subscriber("s")
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    await cancelled(broadcaster.stop(grace=30))
    assert [event.json()["code"] async for event in queue] == ["SHUTTING_DOWN"]
    queue.close()
    await asyncio.wait_for(broadcaster.stop(), 5)
    assert not broadcaster.get_stats()["running"]
