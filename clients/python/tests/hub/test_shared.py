"""Events that readers of one session in the process share: they make reading cheaper, and never stand in the way."""

from __future__ import annotations

import asyncio

from watertight_sse.hub import Broadcaster, BroadcasterConfig, Queue

from .ledger import assert_balanced

SMALL = BroadcasterConfig(
    memory_warning_threshold_mb=5,
    memory_critical_threshold_mb=10,
    max_history_per_session=0,
    max_queue_size=8,
    event_ttl=0.5,
    cleanup_interval=3600,
)
MOST = 10 * 1024 * 1024 // 16


def read_all(queue: Queue) -> None:
    """All that is there."""
    while True:
        try:
            queue.get_nowait()
        except asyncio.QueueEmpty:
            return


def shared(broadcaster: Broadcaster) -> int:
    """Bytes."""
    return broadcaster.get_stats()["memoryByOwner"]["caches"]


async def test_what_all_readers_have_taken_is_not_kept() -> None:
    async with Broadcaster(SMALL) as broadcaster:
        queues: dict[str, list[Queue]] = {}
        for name in (f"s{n}" for n in range(20)):
            queues[name] = readers = [await broadcaster.add_subscriber(name) for _ in range(3)]
            for _ in range(40):
                # Refused if anything that is kept takes the room.
                await broadcaster.broadcast(name, "x" * 30_000)
                for queue in readers:
                    read_all(queue)
                assert shared(broadcaster) == 0
        for readers in queues.values():
            for queue in readers:
                queue.close()
        assert_balanced(broadcaster)


async def test_what_readers_never_take_is_bounded_and_goes_with_the_next_cleanup_and_with_them() -> None:
    async with Broadcaster(SMALL) as broadcaster:
        # What they do not take stays below the warning threshold, above which nothing is shared.
        stalled = [await broadcaster.add_subscriber(f"s{n}") for n in range(15)]
        for n in range(15):
            async with broadcaster.subscribe(f"s{n}") as queue, broadcaster.subscribe(f"s{n}"):
                for _ in range(40):
                    broadcaster.broadcast_nowait(f"s{n}", "x" * 30_000)
                    read_all(queue)
                    assert shared(broadcaster) <= MOST
        async with broadcaster.subscribe("s0") as queue:
            broadcaster.broadcast_nowait("s0", "x" * 30_000)
            read_all(queue)
            assert shared(broadcaster) > 60_000, "the other has not come yet"
            broadcaster.clean_up()
            assert shared(broadcaster) == 0
            broadcaster.broadcast_nowait("s0", "x" * 30_000)
            read_all(queue)
            assert shared(broadcaster) > 60_000
            stalled[0].close()
            assert shared(broadcaster) == 0, "nobody else is to come for it"
        for queue in stalled:
            queue.close()
        assert_balanced(broadcaster)


async def test_readers_that_leave_after_an_event_leave_it_to_those_who_have_not_come_yet() -> None:
    async with Broadcaster() as broadcaster:
        queues = [await broadcaster.add_subscriber("s") for _ in range(4)]
        stays = await broadcaster.add_subscriber("s")
        await broadcaster.broadcast("s", "shared")
        first = await queues[0].get(timeout=5)
        queues[0].close()
        for queue in queues[1:3]:
            assert await queue.get(timeout=5) is first
            queue.close()
        assert shared(broadcaster) > 0
        queues[3].close()
        assert await stays.get(timeout=5) is first
        assert shared(broadcaster) == 0
        stays.close()


async def test_readers_that_are_apart_still_get_the_same_object() -> None:
    async with Broadcaster() as broadcaster:
        one, other = await broadcaster.add_subscriber("s"), await broadcaster.add_subscriber("s")
        await broadcaster.broadcast_many("s", [f"{n}" for n in range(100)])
        ones = [await one.get(timeout=5) for _ in range(100)]
        others = [await other.get(timeout=5) for _ in range(100)]
        assert all(mine is theirs for mine, theirs in zip(ones, others, strict=True))
        one.close()
        other.close()
