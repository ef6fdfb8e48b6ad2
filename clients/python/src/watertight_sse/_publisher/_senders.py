"""The tasks that send what the outbox gives: as many as there is something to send for, up to a limit, and none when there is
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import httpx

from watertight_sse import _http
from watertight_sse._errors import RequestError, TokenError, WatertightError
from watertight_sse._log import logger
from watertight_sse._publisher import _limits
from watertight_sse._publisher._entry import Answer, Batch, Request
from watertight_sse._publisher._exchange import Exchange, Final
from watertight_sse._publisher._options import (
    BatchRefusedError,
    Options,
    Wire,
    cause_of,
    lost,
    observe_retry,
    read_answer,
)
from watertight_sse._publisher._outbox import Outbox
from watertight_sse._to_its_end import cancelled
from watertight_sse._token import Token


class Senders:
    """Sends until the outbox has nothing more. A request keeps its task until it is taken or given up, waits included."""

    def __init__(
        self, options: Options, wire: Wire, token: Token, outbox: Outbox, answered: Callable[[], object]
    ) -> None:
        """``answered`` is called after each request, when its entries have been told."""
        self._options = options
        self._wire = wire
        self._token = token
        self._outbox = outbox
        self._answered = answered
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unstarted: set[asyncio.Task[None]] = set()
        """Those that have not looked at the outbox yet."""
        self._resuming: asyncio.TimerHandle | None = None
        self._is_closed = False

    def kick(self, taking: int = 0) -> None:
        """There may be something to send. ``taking`` so many requests the caller is about to take itself."""
        while (
            len(self._unstarted) + taking < self._outbox.ready
            and len(self._tasks) < self._options.in_flight_max
        ):
            task = asyncio.get_running_loop().create_task(self._work())
            self._unstarted.add(task)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Ends all tasks, and closes the connections. What was under way is left open: the hub may have taken it."""
        self._is_closed = True
        if self._resuming is not None:
            self._resuming.cancel()
        await cancelled(tuple(self._tasks))
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _work(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._unstarted.discard(task)
        while not self._is_closed and (batch := self._outbox.take()) is not None:
            try:
                await self._exchange(batch)
            except BaseException as error:
                # Nothing that is known, or a cancellation: those who wait must hear of it.
                self._outbox.failed(batch, cause_of(error))
                if not isinstance(error, Exception):
                    self._answered()
                    raise
            self._answered()
            # Its answer may have made room for other sessions.
            self.kick(taking=1)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What a task that ended has left, and what came in its last moment, is for others."""
        self._tasks.discard(task)
        self._unstarted.discard(task)
        if self._is_closed:
            return
        if not task.cancelled() and task.exception() is None:
            self.kick()
        elif self._resuming is None:
            self._resuming = task.get_loop().call_later(_limits.RESUME_AFTER, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        self.kick()

    async def _exchange(self, batch: Batch) -> None:
        exchange = Exchange(
            time.monotonic(),
            give_up_after=self._options.give_up_after,
            can_refresh=self._token.can_refresh,
        )
        client = self._http()
        while True:
            index: int | None = None
            may_be_stale = False
            try:
                answers = await self._attempt(client, batch.request, exchange)
            except BatchRefusedError as refused:
                failure: WatertightError = refused.error
                index = refused.index
            except WatertightError as error:
                failure = error
            except asyncio.TimeoutError:  # since Python 3.11 one of those below
                failure = RequestError("no answer in time")
            except _http.LOST as error:
                failure, may_be_stale = lost(error)
            else:
                self._outbox.taken(batch, answers)
                return
            step = exchange.failed(failure, time.monotonic(), may_be_stale=may_be_stale)
            if isinstance(step, Final):
                self._outbox.failed(batch, step.error, index)
                return
            if step.delay:
                logger.info("a request is sent again in %.1f s: %s", step.delay, failure)
                observe_retry(self._options.on_retry, failure, step.delay)
                await asyncio.sleep(step.delay)

    async def _attempt(
        self, client: httpx.AsyncClient, request: Request, exchange: Exchange
    ) -> Sequence[Answer]:
        bearer = await self._bearer(exchange.refresh)
        exchange.token_given()
        return await asyncio.wait_for(self._send(client, request, bearer), self._options.request_timeout)

    async def _bearer(self, refresh: bool) -> str | None:
        if not self._token.can_refresh:
            return self._token.get()
        try:
            return await asyncio.wait_for(self._token.aget(refresh=refresh), _limits.TOKEN_TIMEOUT)
        except asyncio.TimeoutError:
            raise TokenError(f"no token within {_limits.TOKEN_TIMEOUT:g} s") from None

    async def _send(
        self, client: httpx.AsyncClient, request: Request, bearer: str | None
    ) -> Sequence[Answer]:
        url, headers = self._wire.url(request), self._wire.headers(request, bearer)
        async with client.stream("POST", url, content=request.body, headers=headers) as answer:
            body = await _http.aread(answer.aiter_raw(), _limits.ANSWER_BYTES_MAX)
        return read_answer(request, answer.status_code, answer.headers, body)

    def _http(self) -> httpx.AsyncClient:
        """That it cannot be made (there are no certificates) is nothing that passes."""
        if self._client is None:
            limit = _http.timeout(self._options.request_timeout)
            self._client = _http.async_client(self._options.endpoint, self._options.pool(), limit)
        return self._client
