"""Wakes the tasks of an event loop that wait for the hub.

The hub's threads never call Python. They ring a bell, whose file descriptor the loop watches: once for all that has become
ready since the loop last looked, however much that is. So there is no task and no callback for each subscriber, and a loop
that is busy is not called again and again.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from typing import Protocol

from watertight_sse._hub import Bell, Pending


class Waiting:
    """Something that tasks of one loop wait for."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiters: list[asyncio.Future[bool]] = []

    def wake(self) -> None:
        """Has whoever waits look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)

    async def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is woken. ``False``: ``timeout`` seconds have passed. Cancelled, it leaves nothing behind."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _time_out, waiter)
        self._waiters.append(waiter)
        try:
            return await waiter
        finally:
            self._waiters.remove(waiter)
            if timer is not None:
                timer.cancel()


def _time_out(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class Closable(Protocol):
    """What a loop's readers are."""

    def wake(self) -> None:
        """Has whoever waits look again."""

    def close(self) -> None:
        """Gives everything back."""


class Wakes:
    """Wakes the tasks of one loop: there is one while any of them has a queue, or waits to publish."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has the loop watch a bell of its own."""
        self.bell = Bell()
        """What the hub rings."""
        self._numbers = itertools.count(1)
        # A queue that is forgotten without being closed goes, and its place in the hub with it.
        self._queues: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()
        self._publishers: dict[int, Waiting] = {}
        self._loop = weakref.ref(loop)
        _ALL.add(self)
        loop.add_reader(self.bell.fileno(), self._answer)

    @staticmethod
    def of_this_loop() -> Wakes:
        """That of the running loop.

        Raises:
            RuntimeError: no loop is running in this thread.
        """
        loop = asyncio.get_running_loop()
        wakes = _OF_LOOPS.get(loop)
        if wakes is None:
            wakes = _OF_LOOPS[loop] = Wakes(loop)
        return wakes

    def number(self) -> int:
        """A number that the bell has not had yet."""
        return next(self._numbers)

    def watch(self, number: int, queue: Closable) -> None:
        """Wakes the queue when the bell rings for its number."""
        self._queues[number] = queue

    def forget(self, number: int) -> None:
        """The queue of this number is closed."""
        self._queues.pop(number, None)
        self.end_if_unused()

    def end_if_unused(self) -> None:
        """Has the loop watch the bell no more, if nobody waits for it."""
        loop = self._loop()
        if self._queues or self._publishers or loop is None or _OF_LOOPS.get(loop) is not self:
            return
        del _OF_LOOPS[loop]
        if not loop.is_closed():
            loop.remove_reader(self.bell.fileno())

    def is_of_a_running_loop(self) -> bool:
        """Whether anybody can still read its queues."""
        loop = self._loop()
        return loop is not None and loop.is_running()

    def close_queues(self) -> None:
        """Closes every queue of the loop."""
        for queue in list(self._queues.values()):
            queue.close()

    async def done(self, pending: Pending) -> list[str]:
        """Waits until ``pending`` is done; the ids it is about. Cancelled, it gives up the waiting."""
        number, waiting = self.number(), Waiting()
        self._publishers[number] = waiting
        try:
            while (ids := pending.poll(self.bell, number)) is None:
                await waiting.wait()
            return ids
        finally:
            del self._publishers[number]
            self.end_if_unused()

    def readers_came_nearer(self) -> None:
        """Has publishers of this loop look whether its readers are near enough by now: sooner than the hub tells them."""
        for waiting in self._publishers.values():
            waiting.wake()

    def _answer(self) -> None:
        for number in self.bell.answer():
            woken = self._queues.get(number) or self._publishers.get(number)
            if woken is not None:
                woken.wake()


_OF_LOOPS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Wakes] = weakref.WeakKeyDictionary()
_ALL: weakref.WeakSet[Wakes] = weakref.WeakSet()
"""Those of loops that are gone, too, while somebody holds a queue of them."""


def forget_loops() -> None:
    """In a child, right after a fork: the parent's loops and their queues are not its own."""
    _OF_LOOPS.clear()
    _ALL.clear()


def close_queues_of_loops_at_rest() -> None:
    """Closes the queues of loops that do not run: nobody reads them any more. For the end of the process."""
    for wakes in list(_ALL):
        if not wakes.is_of_a_running_loop():
            wakes.close_queues()
