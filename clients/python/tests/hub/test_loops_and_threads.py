"""Several event loops, and threads without one, at one hub."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from watertight_sse.hub import Broadcaster, PlainQueue, Queue, QueueClosedError, QueueEnd
from watertight_sse.hub import _wakes as wakes

from .ledger import assert_balanced, eventually_plain

COUNT = 2_000


@pytest.fixture
def plain() -> Broadcaster:
    """One that nobody has started: it starts by itself."""
    return Broadcaster()


def test_each_loop_is_woken_for_its_own_readers(plain: Broadcaster) -> None:
    loops = 4
    ready = threading.Barrier(loops + 1)

    async def reads() -> list[int]:
        async with plain.subscribe("s") as one, plain.subscribe("s") as other:
            await asyncio.to_thread(ready.wait, 10)
            ones, others = await asyncio.gather(all_of(one), all_of(other))
            assert ones == others
            return ones

    async def all_of(queue: Queue) -> list[int]:
        return [int((await queue.get(timeout=10)).data) for _ in range(COUNT)]

    with ThreadPoolExecutor(loops) as threads:
        reading = [threads.submit(asyncio.run, reads()) for _ in range(loops)]
        ready.wait(10)
        plain.broadcast_many_sync("s", (str(number) for number in range(COUNT)))
        for numbers in reading:
            assert numbers.result(20) == list(range(COUNT))
    assert_balanced(plain)
    plain.close()


def test_threads_read_and_publish_without_a_loop(plain: Broadcaster) -> None:
    publishers, each = 4, 500
    started = threading.Event()

    def reads() -> list[str]:
        with plain.subscribe("s") as queue:
            started.set()
            return [queue.get(timeout=10).data for _ in range(publishers * each)]

    def publishes(name: int) -> None:
        for number in range(each):
            plain.broadcast_sync("s", f"{name} {number}")

    with ThreadPoolExecutor(publishers + 1) as threads:
        reading = threads.submit(reads)
        assert started.wait(10)
        list(threads.map(publishes, range(publishers)))
        came = reading.result(20)
    for name in range(publishers):
        assert [text for text in came if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(each)]
    assert_balanced(plain)
    plain.close()


def test_a_plain_queue_iterates_to_the_end_of_the_session(plain: Broadcaster) -> None:
    with plain.subscribe("s") as queue:
        plain.broadcast_sync("s", "one")
        plain.end_nowait("s", "two")
        came = list(queue)
    assert [event.data for event in came[:2]] == ["one", "two"]
    assert isinstance(came[2], QueueEnd)
    plain.close()


def test_a_plain_get_times_out_is_ended_by_close_and_by_ctrl_c(plain: Broadcaster) -> None:
    with plain.subscribe("s") as queue:
        with pytest.raises(TimeoutError):
            queue.get(timeout=0.01)
        assert _ends(queue, queue.close) == "CLOSED"
    with plain.subscribe("s") as queue:
        # A shell's background jobs begin with the signal ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come before the wait
            timer.start()
            queue.get(timeout=20)
        assert time.monotonic() - begun < 5
        timer.join()
        signal.signal(signal.SIGINT, before)
    with plain.subscribe("s") as queue:
        assert _ends(queue, plain.close) == "SHUTTING_DOWN"


def _ends(queue: PlainQueue, end: object) -> str:
    """Has a thread wait for an event, ends that, and says how it ended for the thread."""
    assert callable(end)
    ended: list[str] = []

    def waits() -> None:
        try:
            while True:
                queue.get()
        except QueueClosedError as error:
            ended.append(error.code)

    thread = threading.Thread(target=waits)
    thread.start()
    eventually_plain(lambda: queue._reader.is_over or thread.is_alive(), "it waits")  # pyright: ignore[reportPrivateUsage]: to see it
    end()
    thread.join(10)
    assert not thread.is_alive()
    return ended[0]


def test_a_loop_is_watched_only_while_somebody_waits_in_it(plain: Broadcaster) -> None:
    async def reads() -> None:
        loop = asyncio.get_running_loop()
        assert loop not in wakes._OF_LOOPS  # pyright: ignore[reportPrivateUsage]: to see it
        async with plain.subscribe("s"):
            assert loop in wakes._OF_LOOPS  # pyright: ignore[reportPrivateUsage]: to see it
        assert loop not in wakes._OF_LOOPS  # pyright: ignore[reportPrivateUsage]: to see it

    before = _open_files()
    for _ in range(50):
        asyncio.run(reads())
    plain.close()
    assert _open_files() <= before


def test_a_loop_that_ends_with_open_queues_leaves_nothing_behind(plain: Broadcaster) -> None:
    async def forgets() -> None:
        await plain.add_subscriber("s")
        task = asyncio.create_task((await plain.add_subscriber("s")).get())
        await asyncio.sleep(0)
        del task

    before = _open_files()
    for _ in range(20):
        asyncio.run(forgets())
    gc.collect()  # a task that was cancelled is part of a cycle with its exception
    assert plain.get_stats()["totalSubscribers"] == 0
    assert_balanced(plain)
    plain.close()
    assert _open_files() <= before


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_stop_tells_readers_of_every_loop_and_thread(plain: Broadcaster) -> None:
    ready = threading.Barrier(3)

    async def reads() -> str:
        async with plain.subscribe("s") as queue:
            await asyncio.to_thread(ready.wait, 10)
            return [str(event.json()["code"]) async for event in queue][-1]

    def reads_plainly() -> str:
        with plain.subscribe("s") as queue:
            ready.wait(10)
            return [str(event.json()["code"]) for event in queue][-1]

    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(asyncio.run, reads()), threads.submit(reads_plainly)]
        ready.wait(10)
        plain.close()
        assert [end.result(10) for end in ends] == ["SHUTTING_DOWN", "SHUTTING_DOWN"]


def test_the_hubs_threads_end_with_it() -> None:
    def threads() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))

    before = threads()
    for _ in range(10):
        with Broadcaster() as broadcaster:
            broadcaster.broadcast_nowait("s", "x")
            assert threads() > before
    forgotten = Broadcaster()
    forgotten.broadcast_nowait("s", "x")
    del forgotten
    eventually_plain(lambda: threads() <= before, "the threads have ended")
