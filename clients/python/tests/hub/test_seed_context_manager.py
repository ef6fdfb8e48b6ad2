"""The seed's example "Resource Cleanup Tests", with the import changed."""

from __future__ import annotations

import asyncio

import pytest

from watertight_sse.hub import Broadcaster, Queue, QueueClosedError, get_sse_broadcaster

from .ledger import assert_balanced

broadcaster = get_sse_broadcaster()
session_id = "session-123"


@pytest.fixture(autouse=True)
async def started() -> None:
    """Others may have stopped the process's broadcaster."""
    await get_sse_broadcaster().start()


async def test_context_manager_cleanup() -> None:
    """Test context manager ensures proper cleanup."""
    async with broadcaster.subscribe(session_id) as queue:
        # Use queue
        pass
    # Verify queue is properly cleaned up
    assert queue._closed  # pyright: ignore[reportPrivateUsage]: as the seed has it
    assert queue.closed
    assert_balanced(broadcaster)


async def test_a_queue_is_open_inside_and_gives_nothing_after(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        assert not queue.closed
        assert broadcaster.get_stats()["totalSubscribers"] == 1
        await broadcaster.broadcast("s", "unread")
    assert broadcaster.get_stats()["totalSubscribers"] == 0
    with pytest.raises(QueueClosedError):
        await queue.get()
    with pytest.raises(QueueClosedError):
        queue.get_nowait()


async def test_the_cleanup_runs_whatever_ends_the_block(broadcaster: Broadcaster) -> None:
    queues: list[Queue] = []

    async def fails() -> None:
        async with broadcaster.subscribe("s") as queue:
            queues.append(queue)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert queues[0].closed

    async def reads() -> None:
        async with broadcaster.subscribe("s") as queue:
            await queue.get()

    task = asyncio.create_task(reads())
    await asyncio.sleep(0)
    assert broadcaster.get_stats()["totalSubscribers"] == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert broadcaster.get_stats()["totalSubscribers"] == 0


async def test_add_and_remove_subscriber_do_the_same_by_hand(broadcaster: Broadcaster) -> None:
    queue = await broadcaster.add_subscriber("s")
    await broadcaster.broadcast("s", "hello")
    assert (await queue.get(timeout=5)).data == "hello"
    await broadcaster.remove_subscriber("s", queue)
    await broadcaster.remove_subscriber("s", queue)
    assert queue.closed
