"""The threads that send what the outbox gives: as many as there is something to send for, up to a limit, and none when there is
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Condition, Event, Lock, Thread

import httpx

from watertight_sse import _http
from watertight_sse._errors import RequestError, WatertightError
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
from watertight_sse._token import Token

_CLOSE_WAIT = 1.0
"""How long closing waits for threads that are done, seconds."""


class Threads:
    """Sends until the outbox has nothing more. A request keeps its thread until it is taken or given up, waits included."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it shares with the publisher
        self,
        options: Options,
        wire: Wire,
        token: Token,
        outbox: Outbox,
        lock: Lock,
        changed: Condition,
        answered: Callable[[], object],
    ) -> None:
        """``lock`` is held for each call of the outbox, and is that of ``changed``, which is notified when something changes.
        ``answered`` is called after each request, without the lock.
        """
        self._options = options
        self._wire = wire
        self._token = token
        self._outbox = outbox
        self._lock = lock
        self._changed = changed
        self._answered = answered
        self._wanted = Condition(lock)
        """Notified when there is something to send."""
        self._client: httpx.Client | None = None
        self._count = 0
        """Threads that there are."""
        self._unstarted = 0
        """Threads that have not looked at the outbox yet."""
        self._idle = 0
        """Threads that wait for something to send."""
        self._closing = Event()
        """Ends waits between attempts, and the threads."""

    def kick(self) -> None:
        """There may be something to send. The lock is held."""
        if self._idle:
            self._wanted.notify(self._outbox.ready)
        while self._unstarted + self._idle < self._outbox.ready and self._count < self._options.in_flight_max:
            self._unstarted += 1
            self._count += 1
            try:
                Thread(target=self._work, name="watertight-publisher").start()
            except RuntimeError:
                # No thread is to be had. Those that there are go on; without any, the caller must hear of it.
                self._unstarted -= 1
                self._count -= 1
                if not self._count:
                    raise
                return

    def close(self) -> None:
        """Ends all threads, and closes the connections with the last. Waits a second for that. The lock is held."""
        self._closing.set()
        self._wanted.notify_all()
        if not self._count:
            self._close_client()
        self._changed.wait_for(lambda: not self._count, _CLOSE_WAIT)

    def _work(self) -> None:
        with self._lock:
            self._unstarted -= 1
        while (batch := self._next()) is not None:
            try:
                self._exchange(batch)
            except BaseException as error:  # nothing that is known; those who wait must hear of it
                self._settle(partial(self._outbox.failed, batch, cause_of(error)))
            try:
                self._answered()
            except SystemExit:  # a thread is no program that could be left
                logger.exception("on_error failed")

    def _next(self) -> Batch | None:
        """Something to send; ``None`` if there is nothing for a while: then the thread is none any more."""
        with self._lock:
            batch = self._outbox.take()
            if batch is None and not self._closing.is_set():
                self._idle += 1
                self._wanted.wait(_limits.IDLE)
                self._idle -= 1
                batch = self._outbox.take()
            if batch is None:
                self._count -= 1
                if not self._count and self._closing.is_set():
                    self._close_client()
                self._changed.notify_all()
            return batch

    def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _exchange(self, batch: Batch) -> None:
        exchange = Exchange(
            time.monotonic(),
            give_up_after=self._options.give_up_after,
            can_refresh=self._token.can_refresh,
        )
        client = self._http()
        while not self._closing.is_set():
            index: int | None = None
            may_be_stale = False
            try:
                answers = self._attempt(client, batch.request, exchange)
            except BatchRefusedError as refused:
                failure: WatertightError = refused.error
                index = refused.index
            except WatertightError as error:
                failure = error
            except _http.LOST as error:
                failure, may_be_stale = lost(error)
            else:
                self._settle(partial(self._outbox.taken, batch, answers))
                return
            step = exchange.failed(failure, time.monotonic(), may_be_stale=may_be_stale)
            if isinstance(step, Final):
                self._settle(partial(self._outbox.failed, batch, step.error, index))
                return
            if step.delay:
                logger.info("a request is sent again in %.1f s: %s", step.delay, failure)
                observe_retry(self._options.on_retry, failure, step.delay)
                self._closing.wait(step.delay)

    def _settle(self, settle: Callable[[], object]) -> None:
        with self._lock:
            settle()
            self._changed.notify_all()
            # The answer may have made room for other sessions; this thread takes one of them.
            self.kick()

    def _attempt(self, client: httpx.Client, request: Request, exchange: Exchange) -> Sequence[Answer]:
        bearer = self._token.get(refresh=exchange.refresh)
        exchange.token_given()
        url, headers = self._wire.url(request), self._wire.headers(request, bearer)
        deadline = time.monotonic() + self._options.request_timeout
        with client.stream("POST", url, content=request.body, headers=headers) as answer:
            body = _http.read(_until(deadline, answer.iter_raw()), _limits.ANSWER_BYTES_MAX)
        return read_answer(request, answer.status_code, answer.headers, body)

    def _http(self) -> httpx.Client:
        """As that of the tasks."""
        with self._lock:
            if self._client is None:
                limit = _http.timeout(self._options.request_timeout)
                self._client = _http.plain_client(self._options.endpoint, self._options.pool(), limit)
            return self._client


def _until(deadline: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise RequestError("no answer in time")
        yield chunk
