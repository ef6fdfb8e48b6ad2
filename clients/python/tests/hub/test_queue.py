"""What a queue promises to who reads it."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import threading
import time

import pytest

from watertight_sse.hub import (
    Broadcaster,
    BroadcasterConfig,
    HubError,
    QueueClosedError,
    QueueEnd,
    QueueEvent,
    QueueGap,
    QueueTimeoutError,
    SSEEvent,
)

from .ledger import assert_balanced


async def test_events_come_in_order_each_once_to_every_subscriber(broadcaster: Broadcaster) -> None:
    count, readers = 3_000, 5

    async def reads() -> list[int]:
        numbers: list[int] = []
        async with broadcaster.subscribe("s") as queue:
            started.release()
            async for event in queue:
                numbers.append(int(event.data))
                if len(numbers) == count:
                    return numbers
        raise AssertionError("it ended")

    started = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(reads()) for _ in range(readers)]
    for _ in range(readers):
        await started.acquire()
    ids = await broadcaster.broadcast_many("s", (str(number) for number in range(count)))
    assert len(set(ids)) == count
    for numbers in await asyncio.gather(*tasks):
        assert numbers == list(range(count))
    assert broadcaster.get_stats()["metrics"]["gaps"] == 0


async def test_readers_of_a_session_share_each_event(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as one, broadcaster.subscribe("s") as other:
        await broadcaster.broadcast("s", "shared")
        assert await one.get(timeout=5) is await other.get(timeout=5)
    assert broadcaster.get_stats()["memoryByOwner"]["caches"] == 0


async def test_an_event_has_its_fields_and_its_text_on_the_wire(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        before = time.time()
        published = await broadcaster.broadcast("s", SSEEvent(type="progress", data={"percent": 5}))
        event = await queue.get(timeout=5)
    assert event == f'id: {published}\nevent: progress\ndata: {{"percent":5}}\n\n'
    assert (event.id, event.type, event.data, event.json()) == (
        published,
        "progress",
        '{"percent":5}',
        {"percent": 5},
    )
    assert event.created_at is not None
    assert before - 1 < event.created_at < time.time() + 1
    assert repr(event).startswith("QueueEvent(id='")
    for copied in (pickle.loads(pickle.dumps(event)), copy.copy(event)):
        assert (copied, copied.id, copied.data, type(copied)) == (event, event.id, event.data, QueueEvent)


async def test_get_times_out_and_loses_nothing(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        for error in (TimeoutError, asyncio.TimeoutError, QueueTimeoutError):
            with pytest.raises(error):
                await queue.get(timeout=0.01)
        await broadcaster.broadcast("s", "later")
        assert (await queue.get(timeout=0)).data == "later"
        with pytest.raises(asyncio.QueueEmpty):
            queue.get_nowait()


async def test_a_time_limit_holds_although_another_task_takes_all_that_comes(
    broadcaster: Broadcaster,
) -> None:
    async with broadcaster.subscribe("s") as queue:

        async def greedy() -> None:
            while True:
                await queue.get()

        async def publishes() -> None:
            while True:
                await broadcaster.broadcast("s", "x")
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(greedy())]
        await asyncio.sleep(0)
        getting = asyncio.create_task(queue.get(timeout=0.2))
        stream = queue.stream(heartbeat=0.2)

        async def next_block() -> str:
            return await anext(stream)

        assert (await next_block()).startswith(": watertight")
        beat = asyncio.create_task(next_block())
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(publishes()))
        with pytest.raises(QueueTimeoutError):
            await asyncio.wait_for(getting, 5)
        assert await asyncio.wait_for(beat, 5) == ":\n\n"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def test_a_time_without_an_end_is_one_also_in_a_thread() -> None:
    with Broadcaster() as broadcaster, broadcaster.subscribe("s") as queue:
        publishing = threading.Timer(0.05, broadcaster.broadcast_nowait, ("s", "it comes"))
        publishing.start()
        for timeout in (math.inf, 1e300):
            assert queue.get(timeout=timeout).data == "it comes"
            broadcaster.broadcast_nowait("s", "it comes")
        assert queue.get().data == "it comes"
        for timeout in (0, -1, -math.inf, math.nan):
            with pytest.raises(QueueTimeoutError):
                queue.get(timeout=timeout)
        publishing.join()


async def test_a_get_that_is_cancelled_loses_nothing(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        came: list[str] = []
        cancelled = 0
        for number in range(100):
            task = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            if number % 3 == 0:
                broadcaster.broadcast_nowait("s", str(number // 3))
            task.cancel()
            try:
                came.append((await task).data)
            except asyncio.CancelledError:
                cancelled += 1
        assert cancelled > 50
        came += [(await queue.get(timeout=5)).data for _ in range(34 - len(came))]
        assert came == [str(number) for number in range(34)]


async def test_several_tasks_may_read_one_queue(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        tasks = [asyncio.create_task(queue.get(timeout=5)) for _ in range(10)]
        await asyncio.sleep(0)
        await broadcaster.broadcast_many("s", [str(number) for number in range(10)])
        assert sorted([event.data for event in await asyncio.gather(*tasks)]) == [str(n) for n in range(10)]


async def test_a_queue_resumes_after_an_id_without_a_hole_or_a_double(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        await broadcaster.broadcast_many("s", ["a", "b", "c"])
        assert (await queue.get(timeout=5)).data == "a"
        last = (await queue.get(timeout=5)).id
    await broadcaster.broadcast("s", "d")
    async with broadcaster.subscribe("s", last_event_id=last) as queue:
        assert queue.start_id == last
        assert [(await queue.get(timeout=5)).data for _ in range(2)] == ["c", "d"]
    async with broadcaster.subscribe("s", replay=2) as queue:
        assert [(await queue.get(timeout=5)).data for _ in range(2)] == ["c", "d"]
    async with broadcaster.subscribe("s") as queue:
        with pytest.raises(asyncio.QueueEmpty):
            queue.get_nowait()


async def test_an_id_that_is_none_is_a_gap_and_then_history(broadcaster: Broadcaster) -> None:
    await broadcaster.broadcast("s", "kept")
    async with broadcaster.subscribe("s", last_event_id="not an id") as queue:
        gap = await queue.get(timeout=5)
        assert isinstance(gap, QueueGap)
        assert (gap.type, gap.first, gap.missed, gap.reason, gap.id) == (
            "gap",
            None,
            None,
            "unknown_id",
            gap.last,
        )
        assert gap.json()["reason"] == "unknown_id"
        assert gap == f"id: {gap.last}\nevent: gap\ndata: {gap.data}\n\n"
        assert (await queue.get(timeout=5)).data == "kept"


async def test_the_end_of_a_session_is_the_last_that_comes(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        await broadcaster.broadcast("s", "first")
        await broadcaster.end("s", SSEEvent(type="done", data="bye"))
        came = [event async for event in queue]
        assert [(event.type, event.data) for event in came[:2]] == [("message", "first"), ("done", "bye")]
        end = came[2]
        assert isinstance(end, QueueEnd)
        assert (end.code, end.message, end.can_return, end.id) == (
            "SESSION_ENDED",
            "Session ended",
            False,
            "",
        )
        assert queue.closed
        assert queue.end_code == "SESSION_ENDED"
        with pytest.raises(QueueClosedError) as raised:
            await queue.get()
        assert raised.value.code == "SESSION_ENDED"
    with pytest.raises(HubError) as refused:
        await broadcaster.broadcast("s", "too late")
    assert (refused.value.code, refused.value.can_retry) == ("SESSION_ENDED", False)
    await broadcaster.broadcast("s", "anew", reopen=True)


async def test_close_ends_whoever_waits_for_the_next_event(broadcaster: Broadcaster) -> None:
    queue = await broadcaster.add_subscriber("s")

    async def iterates() -> int:
        return len([event async for event in queue])

    waits, iterating = asyncio.create_task(queue.get()), asyncio.create_task(iterates())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(QueueClosedError) as raised:
        await waits
    assert raised.value.code == "CLOSED"
    assert await iterating == 0


async def test_is_stale_says_that_nobody_has_read_for_so_long(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        assert not queue.is_stale(60)
        await asyncio.sleep(0.02)  # the age is measured on the clock
        assert queue.is_stale(0.01)
        with pytest.raises(asyncio.QueueEmpty):
            queue.get_nowait()
        assert not queue.is_stale(0.01)


async def test_a_reader_that_never_pauses_leaves_the_loop_its_turn(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s", replay="all") as queue:
        for number in range(1000):
            broadcaster.broadcast_nowait("s", str(number))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(1000):
            await queue.get()
        task.cancel()
        assert turns >= 3


async def test_what_is_given_out_and_not_read_is_charged(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        for _ in range(100):
            broadcaster.broadcast_nowait("s", "x" * 1000)
        before = broadcaster.get_stats()["memoryByOwner"]["subscribers"]
        await queue.get()
        held = broadcaster.get_stats()["memoryByOwner"]["subscribers"] - before
        assert 20_000 < held < 140_000, "some tens of events are given out at once, never all"


async def test_a_queue_that_is_forgotten_without_being_closed_gives_its_place_back(
    broadcaster: Broadcaster,
) -> None:
    queue = await broadcaster.add_subscriber("s")
    assert broadcaster.get_stats()["totalSubscribers"] == 1
    del queue
    assert broadcaster.get_stats()["totalSubscribers"] == 0
    assert_balanced(broadcaster)


async def test_what_cannot_be_subscribed_to_says_why(broadcaster: Broadcaster) -> None:
    for name in ("", ".."):
        with pytest.raises(HubError) as raised:
            await broadcaster.add_subscriber(name)
        assert raised.value.code == "INVALID_SESSION_NAME"
    with pytest.raises(ValueError, match="replay"):
        await broadcaster.add_subscriber("s", replay=-1)
    stopped = Broadcaster(BroadcasterConfig())
    await stopped.start()
    await stopped.stop()
    with pytest.raises(HubError) as raised:
        await stopped.add_subscriber("s")
    assert raised.value.code == "SHUTTING_DOWN"
