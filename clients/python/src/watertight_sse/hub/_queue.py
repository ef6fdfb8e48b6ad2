"""Queues: what subscribers read. There is no queue behind them: what has not been read stays in the session's log."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator

from watertight_sse._hub import Reader
from watertight_sse.hub._errors import QueueClosedError, QueueTimeoutError
from watertight_sse.hub._events import QueueEvent
from watertight_sse.hub._wakes import Waiting, Wakes

_TAKEN_WITHOUT_A_PAUSE_MAX = 256
"""So many events in a row are given out before the loop has its turn, although more are there."""

_HEARTBEAT = ":\n\n"


class _Base:
    """What queues of tasks and of threads have in common."""

    def __init__(self, session_id: str, reader: Reader) -> None:
        self.session_id = session_id
        """The session that is read."""
        self._reader = reader
        self._ready: deque[QueueEvent] = deque()
        self._last_activity = time.monotonic()
        self._is_closed = False

    @property
    def closed(self) -> bool:
        """Whether there is nothing more to read: its reader has closed it, or the hub has ended it and that was read."""
        return self._is_closed or (not self._ready and self._reader.is_over)

    @property
    def _closed(self) -> bool:
        return self.closed

    @property
    def end_code(self) -> str | None:
        """Why the hub ended it: ``SESSION_ENDED``, ``SHUTTING_DOWN``, ``SLOW_CONSUMER``...; ``None``: it has not."""
        return self._reader.code

    @property
    def start_id(self) -> str:
        """The position at which it began: subscribing again from there repeats everything."""
        return self._reader.start

    def is_stale(self, max_age: float) -> bool:
        """Whether nobody has read for ``max_age`` seconds, nor anything come."""
        return time.monotonic() - self._last_activity > max_age

    def _over(self) -> QueueClosedError:
        return QueueClosedError(self._reader.code or "CLOSED")

    def _shut(self) -> None:
        self._is_closed = True
        self._ready.clear()
        self._reader.close()

    def __repr__(self) -> str:
        state = self._reader.code or ("closed" if self._is_closed else "open")
        return f"<{type(self).__name__} of {self.session_id!r}: {state}>"


class Queue(_Base, Waiting):
    """A subscriber's queue, for the loop in which it was made.

    ``async for event in queue`` reads what comes: events, gaps (:class:`QueueGap`) where events are missing, and, if the hub
    ends it, why (:class:`QueueEnd`) as the last.
    """

    def __init__(self, session_id: str, reader: Reader, wakes: Wakes, number: int) -> None:
        """Made by a broadcaster."""
        _Base.__init__(self, session_id, reader)
        Waiting.__init__(self)
        self._wakes = wakes
        self._number = number
        self._taken = 0
        wakes.watch(number, self)

    async def get(self, timeout: float | None = None) -> QueueEvent:
        """The next event; waits for one, ``timeout`` seconds at most. Cancelled, it loses nothing.

        Raises:
            TimeoutError: nothing came in time (on Python 3.10 it is an ``asyncio.TimeoutError``, too).
            QueueClosedError: there is nothing more to read.
        """
        ready = self._ready
        until: float | None = None
        while not ready:
            if self._take():
                await self._pause()
            elif self._is_closed or self._reader.is_over:
                raise self._over()
            else:
                left = timeout
                if timeout is not None:
                    # Another task of the loop may have taken what this one was woken for: the time goes on all the same.
                    now = asyncio.get_running_loop().time()
                    until = now + timeout if until is None else until
                    left = until - now
                if not await self.wait(left):
                    raise QueueTimeoutError(f"no event in {timeout} s")
                self._taken = 0
        return ready.popleft()

    def get_nowait(self) -> QueueEvent:
        """The next event, if it is there.

        Raises:
            asyncio.QueueEmpty: nothing is there yet.
            QueueClosedError: there is nothing more to read.
        """
        if not self._ready and not self._take():
            if self._is_closed or self._reader.is_over:
                raise self._over()
            raise asyncio.QueueEmpty
        return self._ready.popleft()

    def __aiter__(self) -> Queue:
        return self

    async def __anext__(self) -> QueueEvent:
        if self._ready:
            return self._ready.popleft()
        try:
            return await self.get()
        except QueueClosedError:
            raise StopAsyncIteration from None

    async def stream(self, heartbeat: float | None = 15.0) -> AsyncIterator[str]:
        """What a route writes: the opening, each event as it comes, and a comment after ``heartbeat`` seconds of silence."""
        yield self._reader.opening()
        while True:
            try:
                block: str = await self.get(heartbeat)
            except QueueTimeoutError:
                block = _HEARTBEAT
            except QueueClosedError:
                return
            yield block

    def close(self) -> None:
        """Gives everything back. Whoever waits for the next event gets ``QueueClosedError``. Again: nothing."""
        if not self._is_closed:
            self._shut()
            self._wakes.forget(self._number)
            self.wake()

    def _take(self) -> bool:
        """Takes what has come; whether that is anything."""
        self._last_activity = time.monotonic()
        batch = self._reader.take()
        if not batch:
            return False
        self._ready.extend(batch)
        self._taken += len(batch)
        self._wakes.readers_came_nearer()
        return True

    async def _pause(self) -> None:
        """Lets the loop have its turn from time to time."""
        if self._taken >= _TAKEN_WITHOUT_A_PAUSE_MAX:
            self._taken = 0
            await asyncio.sleep(0)


class PlainQueue(_Base):
    """A subscriber's queue, for a thread: ``for event in queue``. What comes is as for :class:`Queue`."""

    def get(self, timeout: float | None = None) -> QueueEvent:
        """The next event; waits for one, ``timeout`` seconds at most.

        Raises:
            TimeoutError: nothing came in time.
            QueueClosedError: there is nothing more to read.
        """
        while not self._ready:
            if self._is_closed:
                raise self._over()
            self._last_activity = time.monotonic()
            batch = self._reader.wait(timeout)
            self._ready.extend(batch)
            if not batch:
                if self._reader.is_over:
                    raise self._over()
                raise QueueTimeoutError(f"no event in {timeout} s")
        try:
            return self._ready.popleft()
        except IndexError:
            # Another thread has just closed it.
            raise self._over() from None

    def __iter__(self) -> Iterator[QueueEvent]:
        return self

    def __next__(self) -> QueueEvent:
        try:
            return self.get()
        except QueueClosedError:
            raise StopIteration from None

    def close(self) -> None:
        """Gives everything back; from any thread. Whoever waits for the next event gets ``QueueClosedError``."""
        if not self._is_closed:
            self._shut()
