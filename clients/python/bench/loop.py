"""Subscribers in one event loop: this package beside sse-starlette, in the same run; and how fast Python publishes.

    python bench/loop.py [--readers 1000] [--events 300]

``async for`` is what a program that uses the events does; ``responses`` is what a web application does: each reader is a
response whose body is read by a server that does nothing else. sse-starlette has only the second. Its broadcast is the one of
its documentation: a queue for each client, filled in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import StreamingResponse

from watertight_sse.hub import Broadcaster, BroadcasterConfig, SSEEvent

TEXT = '{"agent":"researcher","text":"a token or two of an answer, and where it stands","n":123456}'
BATCH = 50
"""Events that are published together."""
ROUNDS = 3
"""The best of so many."""

Message = MutableMapping[str, Any]
SCOPE: Message = {
    "type": "http",
    "asgi": {"spec_version": "2.3"},
    "method": "GET",
    "path": "/",
    "headers": [],
}


class Server:
    """Reads responses and throws them away, as a socket that is always ready would; counts their events."""

    def __init__(self, events: int) -> None:
        """Each response is done after so many."""
        self._events = events

    async def read(self, response: Callable[..., Awaitable[None]]) -> int:
        """Reads one response; how many events it had."""
        seen, done = 0, asyncio.Event()

        async def receive() -> Message:
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal seen
            if b"data:" in message.get("body", b""):
                seen += 1
                if seen == self._events:
                    done.set()

        await response(SCOPE, receive, send)
        return seen


async def of_sse_starlette(readers: int, events: int, batch: int) -> float:
    """Seconds, with one queue and one response for each reader."""
    server = Server(events)
    queues: list[asyncio.Queue[ServerSentEvent]] = [asyncio.Queue() for _ in range(readers)]

    async def body(queue: asyncio.Queue[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
        while True:
            yield await queue.get()

    tasks = [asyncio.create_task(server.read(EventSourceResponse(body(queue)))) for queue in queues]
    await asyncio.sleep(0.2)
    begun = time.perf_counter()
    for number in range(events):
        event = ServerSentEvent(data=TEXT, event="progress", id=str(number))
        for queue in queues:
            queue.put_nowait(event)
        if number % batch == batch - 1:
            await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [events] * readers
    return time.perf_counter() - begun


async def of_responses(readers: int, events: int, batch: int) -> float:
    """Seconds, with one ``StreamingResponse`` for each reader."""
    server = Server(events)
    async with Broadcaster(BroadcasterConfig(max_queue_size=2000)) as broadcaster:

        async def body() -> AsyncIterator[str]:
            async with broadcaster.subscribe("s") as queue:
                async for block in queue.stream():
                    yield block

        tasks = [asyncio.create_task(server.read(StreamingResponse(body()))) for _ in range(readers)]
        await asyncio.sleep(0.2)
        begun = time.perf_counter()
        await publish(broadcaster, events, batch)
        assert await asyncio.gather(*tasks) == [events] * readers
        return time.perf_counter() - begun


async def of_async_for(readers: int, events: int, batch: int) -> float:
    """Seconds, with one ``async for`` for each reader."""
    async with Broadcaster(BroadcasterConfig(max_queue_size=2000)) as broadcaster:

        async def read() -> int:
            seen = 0
            async with broadcaster.subscribe("s") as queue:
                async for _ in queue:
                    seen += 1
                    if seen == events:
                        break
            return seen

        tasks = [asyncio.create_task(read()) for _ in range(readers)]
        await asyncio.sleep(0.2)
        begun = time.perf_counter()
        await publish(broadcaster, events, batch)
        assert await asyncio.gather(*tasks) == [events] * readers
        seconds = time.perf_counter() - begun
        assert broadcaster.get_stats()["metrics"]["gaps"] == 0
        return seconds


async def publish(broadcaster: Broadcaster, events: int, batch: int) -> None:
    """Publishes so many, some together, or one by one."""
    event = SSEEvent(type="progress", data=TEXT)
    for _ in range(events // batch):
        if batch == 1:
            await broadcaster.broadcast("s", event)
            await asyncio.sleep(0)
        else:
            await broadcaster.broadcast_many("s", [event] * batch)


async def published(how: str, count: int, with_reader: bool) -> float:
    """Events a second that are published, with a reader in the same loop or without."""
    event = SSEEvent(type="progress", data=TEXT)
    async with Broadcaster() as broadcaster:
        started = asyncio.Event()

        async def read() -> int:
            seen = 0
            async with broadcaster.subscribe("s") as queue:
                started.set()
                async for _ in queue:
                    seen += 1
                    if seen == count:
                        break
            return seen

        reading = asyncio.create_task(read()) if with_reader else None
        if reading is not None:
            await started.wait()
        begun = time.perf_counter()
        if how == "broadcast_many":
            await broadcaster.broadcast_many("s", (event for _ in range(count)))
        elif how == "broadcast":
            for _ in range(count):
                await broadcaster.broadcast("s", event)
        else:
            for _ in range(count):
                broadcaster.broadcast_nowait("s", event)
        if reading is not None:
            assert await reading == count
        seconds = time.perf_counter() - begun
        assert broadcaster.get_stats()["metrics"]["gaps"] == 0
        return count / seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Subscribers in one event loop.")
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=300)
    asked = parser.parse_args()
    readers, events = asked.readers, asked.events // BATCH * BATCH
    for batch in (BATCH, 1):
        print(
            f"{readers} readers in one loop, {events} events of {len(TEXT)} bytes, published {batch} at a time"
        )
        base = 0.0
        for name, measure in (
            ("sse-starlette, responses", of_sse_starlette),
            ("watertight_sse.hub, responses", of_responses),
            ("watertight_sse.hub, async for", of_async_for),
        ):
            begun = time.process_time()
            seconds = min(asyncio.run(measure(readers, events, batch)) for _ in range(ROUNDS))
            of_cpu = (time.process_time() - begun) / ROUNDS / (readers * events) * 1e6
            base = base or seconds
            rate = readers * events / seconds
            print(
                f"  {name:32} {rate:12,.0f} events/s   x {base / seconds:5.1f}   {of_cpu:6.2f} us of CPU for each"
            )
    print("published from Python, events/s")
    for how in ("broadcast_many", "broadcast", "broadcast_nowait"):
        for with_reader in (False, True):
            if how == "broadcast_nowait" and with_reader:
                continue
            rate = max(asyncio.run(published(how, 100_000, with_reader)) for _ in range(ROUNDS))
            print(f"  {how + (', one reader in the same loop' if with_reader else ''):48} {rate:12,.0f}")


if __name__ == "__main__":
    main()
