"""Cancelled at every await, a publisher keeps its accounts, its order and its promises: an event is published once or not
at all, and nothing stays behind.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from tests.kit.hub import HubProcess
from tests.kit.wait import eventually, soon
from tests.publisher.test_hub import ROOMY, data, history
from watertight_sse import Publisher
from watertight_sse._publisher import PublisherClosedError

Call = Callable[[Publisher, int], Coroutine[Any, Any, Any]]
TURNS_MAX = 4_000
"""Turns of a loop that waits for a hub, which may have much else to do: far more than any of the calls takes."""


def more(turns: int) -> int:
    """Each number of turns up to 200, where the awaits are; of those that only wait for the hub, fewer and fewer."""
    return turns + 1 + turns // 200


def publish(publisher: Publisher, number: int) -> Coroutine[Any, Any, Any]:
    """One event."""
    return publisher.publish("s", number)


def with_key(publisher: Publisher, number: int) -> Coroutine[Any, Any, Any]:
    """A request of its own."""
    return publisher.publish("s", number, key=f"k{number}")


def enqueue(publisher: Publisher, number: int) -> Coroutine[Any, Any, Any]:
    """One event, and the wait for it."""

    async def call() -> None:
        await publisher.enqueue("s", number)
        await publisher.flush()

    return call()


def many(publisher: Publisher, number: int) -> Coroutine[Any, Any, Any]:
    """Three batches."""
    return publisher.publish_many("s", [number + part / 10 for part in range(6)])


def many_later(publisher: Publisher, number: int) -> Coroutine[Any, Any, Any]:
    """Three batches of an asynchronous source."""

    async def source() -> AsyncIterator[float]:
        for part in range(6):
            await asyncio.sleep(0)
            yield number + part / 10

    return publisher.publish_many("s", source())


@pytest.mark.parametrize("call", [publish, with_key, enqueue, many, many_later])
async def test_a_call_cancelled_at_any_await_leaves_nothing_half_done(call: Call) -> None:
    with HubProcess(*ROOMY) as hub:
        async with Publisher(hub.url, batch_events=2, buffer_events=4, in_flight_max=2) as publisher:
            await publisher.publish("s", -1)
            tasks = len(asyncio.all_tasks())
            turns, is_done = 0, False
            while not is_done:
                task = asyncio.create_task(call(publisher, turns))
                for _ in range(turns):
                    await asyncio.sleep(0)
                is_done = task.done()
                task.cancel()
                await asyncio.wait((task,))
                assert task.cancelled() or is_done
                await eventually(lambda: publisher.buffered == 0, "the buffer is empty again")
                await eventually(lambda: len(asyncio.all_tasks()) == tasks, "no task is left")
                turns = more(turns)
                assert turns < TURNS_MAX
            await soon(publisher.publish("s", turns), "it still publishes")
        got = data(history(hub, "s"))
        assert turns > 3, "there were awaits to cancel at"
        assert got == sorted(set(got)), "nothing twice, nothing out of order"


async def test_a_call_cancelled_while_the_hub_is_silent_gives_its_room_back() -> None:
    with HubProcess(*ROOMY) as hub:
        async with Publisher(hub.url, buffer_events=3, request_timeout=2) as publisher:
            await publisher.publish("s", "first")
            hub.stop_answering()
            under_way = asyncio.create_task(publisher.publish("s", "under way"))
            await eventually(lambda: publisher.buffered == 1, "it is under way")
            await asyncio.sleep(0)
            for _ in range(200):
                calls = [asyncio.create_task(publisher.publish("s", number)) for number in range(10)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert publisher.buffered == 3
                for task in calls:
                    task.cancel()
                await asyncio.wait(calls)
                assert publisher.buffered == 1
            assert publisher._outbox.waiting == 0  # pyright: ignore[reportPrivateUsage] - what must not grow
            under_way.cancel()
            await asyncio.wait((under_way,))
            hub.answer_again()
            await soon(publisher.publish("s", "last"), "it still publishes")
        assert data(history(hub, "s")) == ["first", "under way", "last"]


async def test_many_that_is_cancelled_sends_nothing_but_what_is_under_way() -> None:
    with HubProcess(*ROOMY) as hub:
        async with Publisher(hub.url, batch_events=10, request_timeout=2) as publisher:
            await publisher.publish("s", -1)
            hub.stop_answering()
            task = asyncio.create_task(publisher.publish_many("s", range(100)))
            await eventually(lambda: publisher.buffered == 20, "two batches are held")
            task.cancel()
            await asyncio.wait((task,))
            assert publisher.buffered == 10
            hub.answer_again()
            await soon(publisher.publish("s", 100), "it still publishes")
        assert data(history(hub, "s")) == [-1, *range(10), 100]


async def test_closing_that_is_cancelled_at_any_await_still_closes_everything() -> None:
    with HubProcess(*ROOMY) as hub:
        # A call that is cancelled before its first step has not begun.
        turns, is_done = 1, False
        while not is_done:
            publisher = Publisher(hub.url, batch_events=2)
            waits = asyncio.create_task(publisher.publish(f"c{turns}", 0))
            await asyncio.sleep(0)
            closing = asyncio.create_task(publisher.aclose())
            for _ in range(turns):
                await asyncio.sleep(0)
            is_done = closing.done()
            client = publisher._senders._client  # pyright: ignore[reportPrivateUsage] - what has to be closed
            closing.cancel()
            # Once more, while it cleans up.
            for _ in range(turns % 7):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait((closing, waits))
            assert client is None or client.is_closed
            assert publisher.buffered == 0
            assert waits.exception() is None or isinstance(waits.exception(), PublisherClosedError)
            await eventually(lambda: len(asyncio.all_tasks()) == 1, "no task is left")
            turns = more(turns)
            assert turns < TURNS_MAX
        assert turns > 3
        await eventually(lambda: hub.stats()["ledger"]["connection"]["live"] <= 1, "no connection is left")
    gc.collect()
