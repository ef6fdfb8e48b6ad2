"""Stopped and started again: a broadcaster has one hub at a time, and what belongs to an earlier one leaves the next alone."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.kit.ports import free_port
from watertight_sse.hub import Broadcaster, HubError, Queue, QueueEnd


@pytest.mark.parametrize("is_served", [False, True])
async def test_started_after_a_stop_that_was_cancelled_it_has_a_hub_that_lives(is_served: bool) -> None:
    broadcaster = Broadcaster()
    await broadcaster.start()
    port = free_port()
    if is_served:
        broadcaster.serve(port=port)
    queue = await broadcaster.add_subscriber("s")
    await broadcaster.broadcast("s", "unread")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(broadcaster.stop(grace=30), 0.05)
    with pytest.raises(HubError, match="SHUTTING_DOWN"):
        await broadcaster.broadcast("s", "x")
    begun = time.monotonic()
    await broadcaster.start()
    assert time.monotonic() - begun < 10, "it does not wait for those who are left"
    assert (await queue.get(timeout=5)).data == "unread", "they have the rest of their grace"
    last = await queue.get(timeout=5)
    assert isinstance(last, QueueEnd)
    assert last.code == "SHUTTING_DOWN"
    async with broadcaster.subscribe("s") as other:
        await broadcaster.broadcast("s", "it comes")
        assert (await other.get(timeout=5)).data == "it comes"
    if is_served:
        broadcaster.serve(port=port)
    await broadcaster.stop()


def test_entered_again_in_a_thread_it_has_a_hub_that_lives() -> None:
    broadcaster = Broadcaster()
    queues: list[Queue] = []

    async def stop() -> None:
        queues.append(await broadcaster.add_subscriber("s"))
        await broadcaster.broadcast("s", "unread")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(broadcaster.stop(grace=30), 0.05)

    asyncio.run(stop())
    with broadcaster:
        broadcaster.broadcast_sync("s", "x")


async def test_a_server_that_is_closed_again_leaves_the_next_hub_alone() -> None:
    broadcaster = Broadcaster()
    async with broadcaster:
        stale = broadcaster.serve(port=0)
    async with broadcaster:
        server = broadcaster.serve(port=0)
        await asyncio.to_thread(stale.close)
        assert broadcaster.get_stats()["running"]
        host, port = server.addresses[0].rsplit(":", 1)
        socket.create_connection((host, int(port)), 5).close()
        await broadcaster.broadcast("s", "x")
