"""The room that a publisher has for events, and what becomes of each of them. Knows no request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from .errors import WatertightError


class Room:
    """How much is held, in events and bytes; who has to wait for room gets it in turn."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self._events_max, self._bytes_max = events_max, bytes_max
        self.events = 0
        self.bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._emptied: list[asyncio.Future[None]] = []

    def try_take(self, size: int) -> bool:
        """Takes room for one event of this size, if there is some and nobody waits for it."""
        if self._waiting or not self._fits(size):
            return False
        self._take(size)
        return True

    async def take(self, size: int) -> None:
        if self.try_take(size):
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (turn, size)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The room was given just before: nobody will use it.
                self.give_back(size)
            else:
                self._waiting.remove(entry)
                self._grant()
            raise

    def give_back(self, size: int) -> None:
        self.events -= 1
        self.bytes -= size
        self._grant()
        if self.events == 0:
            emptied, self._emptied = self._emptied, []
            for waiter in emptied:
                if not waiter.done():
                    waiter.set_result(None)

    async def empty(self) -> None:
        """Waits until nothing is held."""
        while self.events:
            waiter = asyncio.get_running_loop().create_future()
            self._emptied.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._emptied:
                    self._emptied.remove(waiter)

    def refuse_all(self, error: WatertightError) -> None:
        """Nobody will get room any more."""
        waiting, self._waiting = self._waiting, deque()
        for turn, _ in waiting:
            if not turn.done():
                turn.set_exception(error)

    def _fits(self, size: int) -> bool:
        # One that is larger than all of the room has it alone.
        return self.events == 0 or (self.events < self._events_max and self.bytes + size <= self._bytes_max)

    def _take(self, size: int) -> None:
        self.events += 1
        self.bytes += size

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            if not turn.done():
                self._take(size)
                turn.set_result(None)


class Receipt:
    """What becomes of one event: awaiting it gives the event's id once it is in the session's log, or raises.

    Whether it is awaited or not, and if whoever awaits it is cancelled, the event goes on its way.
    """

    __slots__ = ("_error", "_id", "_unheard", "_waiters")

    def __init__(self) -> None:
        self._id: str | None = None
        self._error: WatertightError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        # What to call when somebody hears of an error that nobody waited for.
        self._unheard: Callable[[], None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it is known what became of the event."""
        return self._id is not None or self._error is not None

    def __await__(self) -> Generator[Any, None, str]:
        while not self.is_settled:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                yield from waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        if self._error is not None:
            if self._unheard is not None:
                self._unheard()
                self._unheard = None
            raise self._error
        return self._id or ""

    def settle(
        self, id: str | None, error: WatertightError | None = None, unheard: Callable[[], None] | None = None
    ) -> bool:
        """Says what became of it; returns whether somebody waits for that."""
        waiters, self._waiters = self._waiters, []
        self._id, self._error = id, error
        if error is not None and not waiters:
            self._unheard = unheard
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return bool(waiters)
