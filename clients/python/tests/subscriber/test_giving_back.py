"""However a loop is left, its connection is given back: looked up in the real hub's ledger."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Generator
from typing import Any

import pytest

import watertight_sse.sync
from tests.kit.dice import dice as dice_of
from tests.kit.hub import HubProcess
from tests.kit.server import Server
from tests.kit.wait import eventually, eventually_plain, soon
from watertight_sse import Subscription, subscribe

CYCLES = 1_000


class CancelAt:
    """Awaits a coroutine, and cancels its task at the so-manieth time that it waits: precisely there, each time."""

    def __init__(self, waiting: Any, at: int) -> None:
        """``at`` counts from 1; 0 is never."""
        self._waiting = waiting
        self._at = at
        self.waits = 0
        """How often it has waited."""

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._waiting.__await__()
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                waited_for = inner.throw(error) if error is not None else inner.send(result)
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            if self.waits == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            result, error = None, None
            try:
                result = yield waited_for
            except BaseException as thrown:
                error = thrown


async def _read(events: Subscription, count: int) -> None:
    for _ in range(count):
        await anext(events)


async def test_a_cancellation_at_every_await_gives_the_connection_back() -> None:
    with HubProcess() as hub:
        hub.publish("s", [str(number) for number in range(10)])
        waits, _ = await _cancelled_at(hub, 0)
        assert waits > 5, "connecting, sending, receiving: it waits now and then"
        cancelled = 0
        for cycle in range(CYCLES):
            cancelled += (await _cancelled_at(hub, 1 + cycle % waits))[1]
        # What comes in one piece is waited for once less.
        assert cancelled > CYCLES // 2
        await eventually(lambda: hub.open() == 0, "nothing is open at the hub")
        assert len(asyncio.all_tasks()) == 1, "no task is left"


async def _cancelled_at(hub: HubProcess, at: int) -> tuple[int, bool]:
    """Reads ten events and closes, cancelled at this wait (0: at none). How often it waited, and whether that often."""
    # Without `async with`: the cancellation alone has to do it.
    events = subscribe(hub.url, "s", replay="all")
    reading = CancelAt(_read(events, 10), at)

    async def run() -> None:
        await reading

    task = asyncio.ensure_future(run())
    await asyncio.wait({task})
    assert task.cancelled() == (0 < at <= reading.waits)
    if not task.cancelled():
        await events.aclose()
    return reading.waits, task.cancelled()


async def test_a_cancelled_wait_loses_nothing_and_doubles_nothing() -> None:
    with HubProcess() as hub:
        expected = [f'"{number}"' for number in range(60)]
        found: list[str] = []
        dice = dice_of(7)
        async with subscribe(hub.url, "s", replay="all") as events:
            published = 0
            while len(found) < len(expected):
                if published < len(expected) and dice.random() < 0.5:
                    hub.publish("s", [str(published), str(published + 1)])
                    published += 2
                try:
                    event = await asyncio.wait_for(anext(events), dice.random() * 0.2)
                except (TimeoutError, asyncio.TimeoutError):
                    continue
                assert isinstance(event, watertight_sse.Event)
                found.append(event.data)
        assert found == expected


async def test_breaking_out_of_the_loop_gives_the_connection_back() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1", "2"])
        for _ in range(50):
            async for _event in subscribe(hub.url, "s", replay="all"):
                break
        await eventually(lambda: hub.open() == 0, "nothing is open at the hub")


async def test_after_a_break_the_next_loop_goes_on_with_the_connection_that_is_kept() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1", "2"])
        found: list[object] = []
        async with subscribe(hub.url, "s", replay="all") as events:
            for _ in range(2):
                async for event in events:
                    found.append(event)
                    break
                assert hub.open() == 1
        assert [getattr(event, "data", "") for event in found] == ['"1"', '"2"']
        await eventually(lambda: hub.open() == 0, "nothing is open at the hub")


async def test_an_error_in_the_loops_body_gives_the_connection_back() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1"])
        with pytest.raises(LookupError):
            await _fail_within(subscribe(hub.url, "s", replay="all"))
        await eventually(lambda: hub.open() == 0, "nothing is open at the hub")


async def _fail_within(events: Subscription) -> None:
    async with events:
        async for _event in events:
            raise LookupError


async def test_aclose_in_another_task_returns_when_the_connection_is_given_back() -> None:
    with HubProcess() as hub:
        for turn in range(100):
            events = subscribe(hub.url, "s")
            reading = asyncio.ensure_future(_until_end(events))
            # From not even begun to long open.
            for _ in range(turn):
                await asyncio.sleep(0)
            await asyncio.gather(events.aclose(), events.aclose())
            assert await soon(reading, "the loop ends") == 0
        await eventually(lambda: hub.open() == 0, "nothing is open at the hub")


async def test_a_wait_that_begins_while_aclose_is_under_way_ends() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1"])
        for turn in range(20):
            events = subscribe(hub.url, "s", replay="all")
            await anext(events)
            closing = asyncio.ensure_future(events.aclose())
            for _ in range(turn):
                await asyncio.sleep(0)
            assert await soon(_until_end(events), "the loop ends") == 0
            await closing


async def _until_end(events: Subscription) -> int:
    return len([event async for event in events])


def test_each_loop_of_many_gives_back_what_is_its_own() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1"])
        kept: list[Subscription] = []

        async def leave() -> None:
            events = subscribe(hub.url, "s", replay="all")
            kept.append(events)
            await anext(events)
            # Neither closed nor forgotten: the end of the event loop does it.

        for _ in range(20):
            asyncio.run(leave())
        eventually_plain(lambda: hub.open() == 0, "nothing is open at the hub")

        async def go_on() -> str:
            events = kept[0]
            hub.publish("s", ["2"])
            event = await anext(events)
            await events.aclose()
            return getattr(event, "data", "")

        assert asyncio.run(go_on()) == '"2"', "in another event loop it goes on where it was"


@pytest.mark.parametrize("variant", ["asyncio", "plain"])
def test_the_end_of_the_interpreter_gives_the_connection_back_without_a_word(variant: str) -> None:
    program = {
        "asyncio": (
            "import asyncio, sys, watertight_sse\n"
            "async def main():\n"
            "    global events\n"
            "    events = watertight_sse.subscribe(sys.argv[1], 's', replay='all')\n"
            "    print(await anext(events))\n"
            "    asyncio.ensure_future(anext(events))\n"
            "    await asyncio.sleep(0.1)\n"
            "asyncio.run(main())\n"
        ),
        "plain": (
            "import sys, threading, time\n"
            "from watertight_sse.sync import subscribe\n"
            "events = subscribe(sys.argv[1], 's', replay='all')\n"
            "print(next(events))\n"
            "threading.Thread(target=next, args=(events,), daemon=True).start()\n"
            "time.sleep(0.1)\n"
        ),
    }[variant]
    with HubProcess() as hub:
        hub.publish("s", ["1"])
        run = subprocess.run(
            [sys.executable, "-W", "always", "-c", program, hub.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert "Event(" in run.stdout
        eventually_plain(lambda: hub.open() == 0, "nothing is open at the hub")


def test_close_in_another_thread_ends_the_wait_at_whatever_moment() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1"])
        dice = dice_of(3)
        for _ in range(200):
            events = watertight_sse.sync.subscribe(hub.url, "s", replay="all")
            found: list[object] = []
            reading = threading.Thread(target=found.extend, args=(events,))
            reading.start()
            threading.Event().wait(dice.random() ** 3 * 0.05)
            events.close()
            events.close()
            reading.join(10)
            assert not reading.is_alive()
            assert len(found) <= 1
        eventually_plain(lambda: hub.open() == 0, "nothing is open at the hub")


def test_breaking_out_of_the_plain_loop_gives_the_connection_back() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1", "2"])
        for _ in range(50):
            for _event in watertight_sse.sync.subscribe(hub.url, "s", replay="all"):
                break
        eventually_plain(lambda: hub.open() == 0, "nothing is open at the hub")


async def test_nothing_is_kept_of_a_thousand_subscriptions() -> None:
    with HubProcess() as hub:
        hub.publish("s", ["1"])

        async def cycle(count: int) -> tuple[int, int]:
            for _ in range(count):
                async with subscribe(hub.url, "s", replay="all") as events:
                    await anext(events)
            gc.collect()
            return len(gc.get_objects()), sys.getallocatedblocks()

        await cycle(200)
        objects, blocks = await cycle(200)
        objects_after, blocks_after = await cycle(CYCLES)
        # Caches of the interpreter's own may fill; what each of them leaves behind would be so many and more.
        assert objects_after - objects < CYCLES // 10
        assert blocks_after - blocks < CYCLES // 2


async def test_nothing_is_read_ahead_of_a_loop_that_does_not_go_on() -> None:
    async with Server() as server:
        async with subscribe(server.url, "s") as events:
            waiting = asyncio.ensure_future(anext(events))
            peer = await server.accept()
            await peer.stream("id: 1\ndata: x\n\n", hub=True)
            await waiting
            sent = 0

            async def flood() -> None:
                nonlocal sent
                while True:
                    await peer.say(b"data: " + b"x" * 65_528 + b"\n\n")
                    sent += 65_536

            flooding = asyncio.ensure_future(flood())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.5)
            # What the kernel's socket buffers on both sides take, and one read: not what the server has.
            assert sent < 16 * 1024 * 1024
            flooding.cancel()
            await asyncio.wait({flooding})
        await peer.closed()
