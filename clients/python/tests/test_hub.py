"""Against the real hub, also behind a proxy that breaks connections."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from watertight_sse import (
    ClosingEvent,
    Event,
    Gap,
    NewEvent,
    Publisher,
    Refused,
    Status,
    Stopped,
    Waiting,
    blocking,
    subscribe,
)

from .kit import Hub, Proxy, eventually, eventually_blocking, on_loop


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as one:
        yield one


def numbers(items: list[Event | Gap]) -> list[int]:
    assert not [item for item in items if isinstance(item, Gap)]
    return [item.json() for item in items if isinstance(item, Event)]


def test_what_is_published_is_what_a_subscriber_sees_and_nothing_is_left(hub: Hub) -> None:
    @on_loop
    async def run() -> None:
        async with Publisher(hub.url) as publisher, subscribe(hub.url, "demo", replay="all") as subscription:
            id = await (await publisher.publish("demo", {"n": 1}, type="tick"))
            assert await anext(subscription) == Event("tick", '{"n":1}', id)
            assert subscription.last_event_id == id
            ended = await publisher.end("demo", event=NewEvent("bye", type="done"))
            assert [item.type async for item in subscription] == ["done"]
            assert ended.last == subscription.last_event_id
            with pytest.raises(Refused, match="SESSION_ENDED"):
                await (await publisher.publish("demo", 2))
            assert publisher.stats.failed == 1

    run()
    eventually_blocking(lambda: hub.subscribers == 0)


def test_a_connection_that_breaks_again_and_again_loses_and_doubles_nothing(hub: Hub) -> None:
    count = 2000

    async def read(url: str) -> list[int]:
        seen: list[Event | Gap] = []
        async with subscribe(url, "demo", replay="all", retry_max=0.1) as subscription:
            async for item in subscription:
                seen.append(item)
                if len(seen) == count:
                    break
        return numbers(seen)

    @on_loop
    async def run() -> None:
        with Proxy(hub.port) as proxy:
            reading = [asyncio.ensure_future(read(proxy.url)) for _ in range(3)]
            async with Publisher(proxy.url) as publisher:
                for number in range(count):
                    await publisher.publish("demo", number)
                    if number % 100 == 0:
                        proxy.break_all()
                        # Slower than the history is long, so that nobody is rightly told of a gap.
                        await publisher.flush()
                        await asyncio.sleep(0.03)
            for seen in await asyncio.gather(*reading):
                assert seen == list(range(count))

    run()
    eventually_blocking(lambda: hub.subscribers == 0)


def test_an_outage_loses_nothing_that_fits_the_buffer(hub: Hub) -> None:
    """`WATERTIGHT_OUTAGE=30` is the long form."""
    outage = float(os.environ.get("WATERTIGHT_OUTAGE", "2"))

    @on_loop
    async def run() -> None:
        retries: list[Waiting] = []
        with Proxy(hub.port) as proxy:
            async with Publisher(proxy.url, on_retry=retries.append) as publisher:
                await (await publisher.publish("demo", 0))
                proxy.is_refusing = True
                proxy.break_all()
                begun, number = time.monotonic(), 0
                while time.monotonic() - begun < outage or number < 300:
                    if number < 300:
                        number += 1
                        await publisher.publish("demo", number)
                    await asyncio.sleep(0.005)
                assert publisher.stats.published == 1
                proxy.is_refusing = False
            assert retries
            assert publisher.stats.published == 301
        seen: list[Event | Gap] = []
        async for item in subscribe(hub.url, "demo", replay="all"):
            seen.append(item)
            if len(seen) == 301:
                break
        assert numbers(seen) == list(range(301))

    run()


def test_a_hub_that_was_killed_and_started_again_is_found_again_with_a_gap(hub: Hub) -> None:
    statuses: list[Status] = []

    @on_loop
    async def run() -> None:
        async with Publisher(hub.url) as publisher:
            options = {"on_status": statuses.append, "retry_max": 0.2, "polling": False}
            async with subscribe(hub.url, "demo", **options) as subscription:  # type: ignore[arg-type]
                taking = asyncio.ensure_future(anext(subscription))
                await eventually(lambda: hub.subscribers == 1)
                before = await (await publisher.publish("demo", "before"))
                assert (await taking) == Event("message", '"before"', before)
                await asyncio.to_thread(hub.kill)
                await asyncio.to_thread(hub.restart)
                await publisher.publish("demo", "after")
                gap = await anext(subscription)
                assert isinstance(gap, Gap)
                assert gap.reason == "epoch"
                after = await anext(subscription)
                assert isinstance(after, Event)
                assert after.json() == "after"

    run()


def test_readers_who_fall_far_behind_are_told_of_a_gap_first() -> None:
    @on_loop
    async def run() -> None:
        async with Publisher(hub.url) as publisher, subscribe(hub.url, "demo") as subscription:
            taking = asyncio.ensure_future(anext(subscription))
            await eventually(lambda: hub.subscribers == 1)
            first = await (await publisher.publish("demo", 0))
            await taking
            await subscription.aclose()
            await publisher.publish_many("demo", range(1, 51))
            async with subscribe(hub.url, "demo", last_event_id=first) as again:
                gap = await anext(again)
                assert isinstance(gap, Gap)
                assert (gap.reason, gap.missed) == ("evicted", 40)
                rest = [await anext(again) for _ in range(10)]
                assert numbers(rest) == list(range(41, 51))

    with Hub("--max-history-per-session", "10") as hub:
        run()


def test_what_the_hub_refuses_stops_many_at_the_right_event(hub: Hub) -> None:
    @on_loop
    async def run() -> None:
        async with Publisher(hub.url) as publisher:
            events = [NewEvent(n, type="gap" if n == 1234 else "n") for n in range(3000)]
            with pytest.raises(Stopped) as told:
                await publisher.publish_many("demo", events)
            assert told.value.count == 1234
            assert told.value.code == "RESERVED_EVENT_TYPE"

    run()


def test_one_by_one_over_one_pool_many_thousands_arrive_in_order(hub: Hub) -> None:
    count = 10_000

    @on_loop
    async def run() -> None:
        begun = time.monotonic()
        async with Publisher(hub.url) as publisher:
            for number in range(count):
                await publisher.publish("demo", number)
        took = time.monotonic() - begun
        print(f"{count / took:.0f} events/s one by one")
        assert publisher.stats.published == count
        async with subscribe(hub.url, "demo", replay=100) as subscription:
            last = [await anext(subscription) for _ in range(100)]
        assert numbers(last) == list(range(count - 100, count))

    run()


def test_without_asyncio_it_is_the_same(hub: Hub) -> None:
    statuses: list[Status] = []
    with Proxy(hub.port) as proxy, blocking.Publisher(proxy.url) as publisher:
        published = publisher.publish_many("demo", range(100))
        assert published.count == 100
        options = {"replay": "all", "retry_max": 0.1, "on_status": statuses.append}
        with blocking.subscribe(proxy.url, "demo", **options) as subscription:  # type: ignore[arg-type]
            seen: list[Event | Gap] = []
            for item in subscription:
                seen.append(item)
                if len(seen) % 30 == 0:
                    proxy.break_all()
                if len(seen) == 100:
                    break
            assert numbers(seen) == list(range(100))
            assert subscription.last_event_id == published.last_id
            publisher.end("demo", event=NewEvent(None, type="done"))
            assert [item.type for item in subscription] == ["done"]
        assert isinstance(statuses[-1], ClosingEvent)
    eventually_blocking(lambda: hub.subscribers == 0)
