"""A subscription on asyncio: one task that reads, a bounded queue, and the loop that takes from it.

The task owns the socket: to cancel it is to close the socket. It is cancelled when the subscription is closed, is left by
`async with`, or is let go, so `break` out of `async for` leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

import anyio
import httpx

from .asyncio_wire import Token, Wire, cancel, make_client
from .effects import Effect, Move, Tell
from .errors import WatertightError
from .events import Event, Gap, Status
from .limits import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX
from .machine import Interrupted, Machine
from .parser import Comment
from .plan import Plan


class _Queue:
    """What was read and not taken yet, and how the reading task and the loop wait for each other."""

    def __init__(self) -> None:
        self.entries: deque[Tell | Move] = deque()
        self._size = 0
        self._taker: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self.is_over = False
        self.failure: BaseException | None = None
        self.wants_restart = False
        self.scope: anyio.CancelScope | None = None
        """What the task is doing, while it may be interrupted."""

    async def put(self, entry: Tell | Move) -> None:
        while len(self.entries) >= QUEUE_EVENTS_MAX or self._size >= QUEUE_BYTES_MAX:
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter
        self.entries.append(entry)
        self._size += _size(entry)
        _wake(self._taker)

    async def take(self) -> Tell | Move | None:
        """The next entry; `None` once it is over. Cancelling it loses nothing."""
        while not self.entries:
            if self.is_over:
                failure, self.failure = self.failure, None
                if failure is not None:
                    raise failure
                return None
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        entry = self.entries.popleft()
        self._size -= _size(entry)
        _wake(self._putter)
        return entry

    def finish(self, failure: BaseException | None) -> None:
        if not self.is_over:
            self.is_over, self.failure = True, failure
            _wake(self._taker)

    def restart(self) -> None:
        self.wants_restart = True
        if self.scope is not None:
            self.scope.cancel()


def _size(entry: Tell | Move) -> int:
    return len(entry.item.data) if isinstance(entry, Tell) and isinstance(entry.item, Event) else 0


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


async def _perform(queue: _Queue, outside: Wire, effect: Effect) -> object:
    if not queue.wants_restart:
        with anyio.CancelScope() as queue.scope:
            try:
                return await outside.perform(effect)
            finally:
                queue.scope = None
    queue.wants_restart = False
    raise Interrupted


async def _read(queue: _Queue, plan: Plan, token: Token, client: httpx.AsyncClient | None) -> None:
    """The task. Knows the queue, and not the subscription, which would never be let go otherwise."""
    steps = Machine(plan, time.monotonic, random.random).run()
    own: httpx.AsyncClient | None = None
    outside: Wire | None = None
    result: object = None
    failure: WatertightError | Interrupted | None = None
    try:
        if client is None:
            client = own = make_client()
        outside = Wire(client, token)
        # Whoever closes it cancels the task, too; but a cancellation can be lost (see `cancel`).
        while not queue.is_over:
            effect = steps.send(result) if failure is None else steps.throw(failure)
            result = failure = None
            if isinstance(effect, Tell | Move):
                await queue.put(effect)
                continue
            try:
                result = await _perform(queue, outside, effect)
            except (WatertightError, Interrupted) as error:
                failure = error
    except StopIteration:
        pass
    except Exception as error:
        queue.finish(error)
    finally:
        queue.finish(None)
        steps.close()
        if outside is not None:
            await outside.aclose()
        if own is not None:
            await own.aclose()


class Subscription:
    """Events and gaps of one stream, in order, until it is over; made by `subscribe` and `subscribe_url`.

    It connects at the first step, and comes back by itself from where it was. The loop ends when the hub says that the
    session has ended, when the server answers 204, and when it is closed; it raises a `WatertightError` that no reconnect
    can mend. A step that is cancelled (`asyncio.wait_for(anext(subscription), 30)`) loses nothing: ask again.
    """

    def __init__(
        self,
        plan: Plan,
        token: Token,
        client: httpx.AsyncClient | None,
        on_status: Callable[[Status], None] | None,
        on_comment: Callable[[str], None] | None,
    ) -> None:
        self._plan, self._token, self._client = plan, token, client
        self._on_status, self._on_comment = on_status, on_comment
        self._queue = _Queue()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_taking = False
        self._position = plan.last_event_id

    @property
    def last_event_id(self) -> str:
        """The position behind what was taken last, to be stored and given to `subscribe` later; empty for none."""
        return self._position

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event | Gap:
        if self._is_taking:
            raise RuntimeError("two tasks take from one subscription: make one for each")
        self._start()
        self._is_taking = True
        try:
            while True:
                entry = await self._queue.take()
                if entry is None:
                    raise StopAsyncIteration
                self._position = entry.position
                if isinstance(entry, Move):
                    continue
                item = entry.item
                if isinstance(item, Event | Gap):
                    return item
                if isinstance(item, Comment):
                    if self._on_comment is not None:
                        self._on_comment(item.text)
                elif self._on_status is not None:
                    self._on_status(item)
        finally:
            self._is_taking = False

    def _start(self) -> None:
        if self._task is None and not self._queue.is_over:
            self._loop = asyncio.get_running_loop()
            reading = _read(self._queue, self._plan, self._token, self._client)
            self._task = self._loop.create_task(reading, name="watertight-sse subscription")

    def restart(self) -> None:
        """Closes the connection, if there is one, and opens another at once, from the same position on."""
        self._queue.restart()

    async def aclose(self) -> None:
        """Closes the connection, now and for good. Doing it twice is doing it once."""
        self._queue.entries.clear()
        self._queue.finish(None)
        self._queue.failure = None
        if self._task is not None:
            await cancel({self._task})

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        task, loop = getattr(self, "_task", None), getattr(self, "_loop", None)
        if task is not None and loop is not None and not task.done():
            self._queue.is_over = True
            # The loop may be closed by now: then there is nothing that could still run.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
