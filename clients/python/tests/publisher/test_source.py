"""An asynchronous source of ``publish_many`` is gone through as ``async for`` would."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from tests.kit.server import Peer, Server
from tests.kit.wait import PATIENCE, eventually, soon
from watertight_sse import Publisher
from watertight_sse._publisher import StoppedError

trace: ContextVar[str] = ContextVar("trace", default="none")


async def take(peer: Peer) -> None:
    """Answers that all of it is published."""
    ids = [str(json.loads(line)["data"]) for line in peer.body.decode().split("\n")]
    await peer.answer(202, body=json.dumps({"ids": ids}))


def serving() -> Server:
    """A server that takes everything."""
    return Server(lambda peer: asyncio.ensure_future(take(peer)))


async def test_context_variables_of_a_source_hold_from_item_to_item() -> None:
    async def source() -> AsyncIterator[str]:
        token = trace.set("mine")
        try:
            for _ in range(3):
                yield trace.get()
                await asyncio.sleep(0)
        finally:
            trace.reset(token)

    async with serving() as server, Publisher(server.url, batch_events=1) as publisher:
        ids = await soon(publisher.publish_many("s", source(), ids=True), "all are published")
        assert ids == ["mine"] * 3


async def test_one_task_drives_a_source_from_its_first_item_to_its_last() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(6):
                tasks.append(asyncio.current_task())
                yield number
                await asyncio.sleep(0)
        finally:
            tasks.append(asyncio.current_task())

    async with serving() as server, Publisher(server.url, batch_events=1) as publisher:
        assert await soon(publisher.publish_many("s", source()), "all are published") == 6
    assert len(set(tasks)) == 1


if sys.version_info >= (3, 11):

    @pytest.mark.parametrize("is_held", [False, True], ids=["in the source", "for room"])
    async def test_a_time_limit_of_a_source_ends_it_wherever_it_waits(is_held: bool) -> None:
        has_ended = asyncio.Event()

        async def source() -> AsyncIterator[int]:
            try:
                async with asyncio.timeout(0.1):
                    yield 0
                    if not is_held:
                        await asyncio.get_running_loop().create_future()
                    for number in range(1, 10):
                        yield number
            finally:
                has_ended.set()

        async with Server() as server, Publisher(server.url, batch_events=1) as publisher:
            many = asyncio.create_task(publisher.publish_many("s", source()))
            peer = await server.accept()
            # No answer before: two events are held, and the third has no room.
            await soon(has_ended.wait(), "the source has ended")
            await take(peer)
            if is_held:
                await take(await server.accept())
            await asyncio.wait((many,), timeout=PATIENCE)
            assert isinstance(many.exception(), TimeoutError)

    async def test_an_error_in_a_task_group_of_a_source_is_the_errors_of_the_source() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise LookupError("of a child")

        async def source() -> AsyncIterator[int]:
            async with asyncio.TaskGroup() as group:
                yield 0
                group.create_task(fail())
                await asyncio.get_running_loop().create_future()

        async with serving() as server, Publisher(server.url) as publisher:
            with pytest.raises(Exception, match="in a TaskGroup") as caught:
                await soon(publisher.publish_many("s", source()), "it is over")
            assert "LookupError('of a child')" in repr(caught.value)
        assert len(server.peers) == 1, "what it gave before is published"


async def test_a_source_whose_events_are_refused_is_left_where_it_stands() -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(10):
            yield number

    async with Server() as server, Publisher(server.url, batch_events=1) as publisher:
        events = source()
        many = asyncio.create_task(publisher.publish_many("s", events))
        peer = await server.accept()
        await eventually(lambda: publisher.buffered == 2, "the third has no room")
        await peer.answer(403)
        with pytest.raises(StoppedError, match="stopped after 0 events"):
            await soon(many, "it stops")
        assert await anext(events) == 3


async def test_cancelling_many_reaches_a_source_that_waits_and_waits_for_its_end() -> None:
    heard: list[str] = []

    async def source() -> AsyncIterator[int]:
        yield 0
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            heard.append("cancelled")
            raise

    async with serving() as server, Publisher(server.url) as publisher:
        many = asyncio.create_task(publisher.publish_many("s", source()))
        await eventually(lambda: len(server.peers) == 1, "the first is sent")
        many.cancel()
        await asyncio.wait((many,))
        assert many.cancelled()
        assert heard == ["cancelled"]
