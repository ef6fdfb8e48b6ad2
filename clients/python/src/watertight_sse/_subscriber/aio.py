"""The subscription with asyncio. Decides nothing: it carries out what ``Core`` and ``Attempt`` say.

No task and no timer outlives a wait. All that a subscription holds (its transport, its response) belongs to one
generator, which gives it back on each of its ways out; a generator that is forgotten is closed by its loop.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from types import AsyncGeneratorType, TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, cast

import httpx

from watertight_sse._back_off import RETRY_BASE, RETRY_MAX
from watertight_sse._errors import RequestError, TokenError, WatertightError
from watertight_sse._event import Event, Gap
from watertight_sse._subscriber.aio_transport import AsyncTransport
from watertight_sse._subscriber.attempt import Attempt, Move
from watertight_sse._subscriber.core import Core
from watertight_sse._subscriber.limit import Limit
from watertight_sse._subscriber.limits import CONNECT_TIMEOUT, MAX_EVENT_BYTES, TOKEN_TIMEOUT
from watertight_sse._subscriber.network import (
    FAILURES,
    check_proxy,
    httpx_request,
    no_connection,
)
from watertight_sse._subscriber.options import HeadersSource, OnEnd, make_options
from watertight_sse._subscriber.status import ConnectionStatus
from watertight_sse._token import TokenSource

Item: TypeAlias = Event | Gap
TransportFactory: TypeAlias = Callable[[], httpx.AsyncBaseTransport]


class Subscription(AsyncIterator[Item]):
    """A stream that comes back by itself, where it left off. See ``subscribe``."""

    def __init__(self, core: Core, make_transport: TransportFactory) -> None:
        """For ``subscribe`` only."""
        self._core = core
        self._make_transport = make_transport
        self._limit = Limit()
        self._is_closed = False
        self._items: AsyncGeneratorType[Item, None] | None = None
        # Is set when the generator that runs has given everything back.
        self._given_back: asyncio.Event | None = None

    @property
    def last_event_id(self) -> str:
        """The position to resume from: that of the last item that the loop was given. Empty for none."""
        return self._core.cursor.id

    @property
    def status(self) -> ConnectionStatus:
        """What has become of the connection."""
        return self._core.status

    def __aiter__(self) -> Subscription:
        return self

    def __anext__(self) -> Awaitable[Item]:
        """The next event or gap.

        A call that is cancelled closes the connection. The next call opens another one, which goes on where
        the loop was: nothing is lost, and nothing comes twice.
        """
        if self._is_closed:
            # Its generator may just be giving everything back, and must not be disturbed.
            return _over()
        # After a cancellation, an exception of a callback or an error a generator is over.
        if self._items is None or self._items.ag_frame is None:
            self._given_back = asyncio.Event()
            items = _items(self._core, self._make_transport, self._limit, self._given_back)
            self._items = cast("AsyncGeneratorType[Item, None]", items)
        return self._items.__anext__()

    def restart(self) -> None:
        """Closes the connection, if there is one, and opens another, without a wait, from the same position on.

        Of the loop that waits nothing is heard of it. In the loop's own thread only.
        """
        self._core.restart()
        self._limit.interrupt()

    async def aclose(self) -> None:
        """Gives the connection back, and ends the loop that waits, in whichever task. Returns when that is done.

        Doing it twice is doing it once. If it is cancelled, the connection is given back nevertheless.
        """
        self._is_closed = True
        try:
            self._core.close()
        finally:
            # Whatever the application raises when it is told.
            await self._give_back()

    async def _give_back(self) -> None:
        items, given_back = self._items, self._given_back
        if items is None or given_back is None:
            return
        if items.ag_running:
            self._limit.interrupt()
            await given_back.wait()
        else:
            await items.aclose()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Subscription {self._core.options!r} {self._core.status.state}>"


def subscribe(  # noqa: PLR0913 - by name, and each with a default
    url: str,
    session: str | None = None,
    *,
    token: TokenSource | None = None,
    last_event_id: str | None = None,
    replay: Literal["all"] | int | None = None,
    headers: HeadersSource | None = None,
    method: str = "GET",
    body: str | bytes | None = None,
    on_end: OnEnd | None = None,
    max_retries: int | None = None,
    retry_base: float = RETRY_BASE,
    retry_max: float = RETRY_MAX,
    connect_timeout: float = CONNECT_TIMEOUT,
    read_timeout: float | None = None,
    polling: bool | None = None,
    max_event_bytes: int = MAX_EVENT_BYTES,
    on_state: Callable[[ConnectionStatus], None] | None = None,
    on_comment: Callable[[str], None] | None = None,
    verify: ssl.SSLContext | None = None,
    proxy: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Subscription:
    """A subscription to a session of a hub, or to any stream of events.

    ::

        async with subscribe("https://events.example.com", "orders", token=get_token) as events:
            async for event in events:
                ...

    It connects at the first ``async for``, and reads only while somebody waits for the next item: of what comes
    it holds one read at most (256 KiB), beside one unfinished event. ``aclose``, a
    cancellation at any moment and an exception that a wait raises give the connection back. After ``break`` the
    subscription keeps it for the next loop, as long as something refers to the subscription.

    Args:
        url: The hub: ``https://events.example.com``, or ``unix:/run/watertight/hub.sock``. Without a session,
            the stream itself, of whatever server.
        session: The session to watch.
        token: Sent as ``Authorization: Bearer``. A function is asked before each attempt, and once more, with
            ``refresh=True`` if it takes that, within an attempt that gets 401, and after a ``TOKEN_EXPIRED`` of
            the hub. A second 401 in a row is final, as is any to a string.
        last_event_id: Resume after the event with this id.
        replay: Without an id to resume from, how much history to ask for: ``"all"``, or a number of events.
        headers: More headers, or a function that gives them, asked before each attempt. They go to the origin
            of ``url`` only. What the function raises, the loop raises.
        method: Another method than GET. Long-polls are then off.
        body: Sent with each attempt.
        on_end: Whether to ask again when the server ends its answer: ``reconnect`` or ``stop``. Without it,
            ``stop`` where ``method`` is not GET and no hub answered.
        max_retries: How many retries in a row there are before it gives up. Without it, it never does.
        retry_base: Base of the back-off until the server names one with ``retry:``, seconds.
        retry_max: Ceiling of the back-off, seconds.
        connect_timeout: Limit for head and first byte, seconds.
        read_timeout: A stream silent for so long is dead, seconds; ``math.inf`` for a server without
            heartbeats. Without it, three times the ``Heartbeat-Interval`` of the hub (15 s if none), at least
            15 s.
        polling: Whether to use long-polls where no stream gets through. Without it, yes for a session.
        max_event_bytes: Largest event, bytes: its data, type and id.
        on_state: Called with each new ``ConnectionStatus``. What it raises, the loop raises.
        on_comment: Called with each comment of the stream, heartbeats included.
        verify: Whom to trust, and how to prove who asks, for ``https``.
        proxy: Goes through this proxy, whatever the environment says.
        transport: Sends requests another way: one of httpx's, for tests or for an application in this process.
            It is not closed.

    Returns:
        An asynchronous iterator and context manager. The loop ends when the session has ended or the server
        says that nothing more comes (204).

    Raises:
        ValueError: an argument that no request can carry. The loop itself raises ``RequestError`` for what no
            attempt can mend (403, 404 and other 4xx, 401 after one refresh, ``TOKEN_REVOKED``, ``FORBIDDEN``, no
            event stream), ``EventTooLargeError``, and ``GaveUpError`` after ``max_retries``; each ends it.
    """
    options = make_options(
        url,
        session,
        token=token,
        last_event_id=last_event_id,
        replay=replay,
        headers=headers,
        method=method,
        body=body,
        on_end=on_end,
        max_retries=max_retries,
        retry_base=retry_base,
        retry_max=retry_max,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        polling=polling,
        max_event_bytes=max_event_bytes,
        on_state=on_state,
        on_comment=on_comment,
    )

    if proxy is not None:
        check_proxy(proxy)

    def make_transport() -> httpx.AsyncBaseTransport:
        if transport is not None:
            return _Borrowed(transport)
        return AsyncTransport(verify, options.socket, proxy)

    return Subscription(Core(options), make_transport)


async def _over() -> Item:
    raise StopAsyncIteration


async def _items(
    core: Core, make_transport: TransportFactory, limit: Limit, given_back: asyncio.Event
) -> AsyncGenerator[Item, None]:
    """All items from the core's position on. Knows nothing of the ``Subscription``, so that forgetting that one
    forgets this one, too."""
    if core.is_over:
        return
    try:
        async with make_transport() as transport:
            while (step := core.step(_now())) is not None:
                if not isinstance(step, Attempt):
                    await limit.sleep(step)
                    continue
                response: httpx.Response | None = None
                try:
                    response = await _open(core, step, transport, limit)
                    chunks = _chunks(response) if response is not None else None
                    while True:
                        while (item := step.next_item()) is not None:
                            yield item
                        if step.is_over or chunks is None:
                            break
                        await _read(step, chunks, limit)
                except BaseException:
                    core.drop(step)
                    raise
                finally:
                    if response is not None:
                        await _close(response)
                core.finish(step, _now())
        error = core.take_error()
        if error is not None:
            raise error
    finally:
        given_back.set()


async def _open(
    core: Core, attempt: Attempt, transport: httpx.AsyncBaseTransport, limit: Limit
) -> httpx.Response | None:
    """The response whose body is the stream; ``None`` if there is none, and the attempt has what it needs."""
    token = await _token(core, attempt, limit)
    is_redirected = False
    while not attempt.is_over:
        request = httpx_request(attempt.send(token, _now(), is_redirected=is_redirected))
        response = await _within(attempt, limit, _send(transport, request))
        if response is None:
            return None
        is_stream = False
        try:
            move = attempt.take_head(response.status_code, response.headers, _now(), time.time())
            is_stream = move is Move.STREAM
            if is_stream:
                return response
            if move is Move.BODY:
                body = await _within(attempt, limit, _body(response, attempt.body_limit))
                if body is not None:
                    attempt.take_body(body)
                return None
            if move is Move.DONE:
                return None
        finally:
            if not is_stream:
                await _close(response)
        is_redirected = move is Move.SEND
        if move is Move.REFRESH:
            token = await _token(core, attempt, limit)
    return None


async def _send(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    return await transport.handle_async_request(request)


async def _token(core: Core, attempt: Attempt, limit: Limit) -> str | None:
    failure: WatertightError
    try:
        return await limit.within(TOKEN_TIMEOUT, core.options.token.aget(refresh=attempt.refresh))
    except TimeoutError:
        failure = TokenError(f"no token within {TOKEN_TIMEOUT:.0f} s")
    except TokenError as error:
        failure = error
    if not attempt.is_over:
        attempt.failed(failure)
    return None


async def _read(attempt: Attempt, chunks: AsyncIterator[bytes], limit: Limit) -> None:
    """The next bytes of the stream, or its end."""
    chunk = await _within(attempt, limit, _next(chunks))
    if chunk is None:
        return
    if chunk:
        attempt.feed(chunk, _now())
    else:
        attempt.ended()


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body, as it comes. Some transports (a test's mock) have it whole already."""
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    """The next bytes; empty at the end, and only there."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""


async def _close(response: httpx.Response) -> None:
    try:
        await response.aclose()
    except FAILURES:
        # It was broken already: there is nothing left to be given back, and nobody whom that would help.
        return


async def _body(response: httpx.Response, most: int) -> bytes:
    """The body, if it is not longer than that; else nothing, which no reader understands."""
    body = bytearray()
    async for chunk in _chunks(response):
        body += chunk
        if len(body) > most:
            return b""
    return bytes(body)


_T = TypeVar("_T")


async def _within(attempt: Attempt, limit: Limit, waiting: Coroutine[Any, Any, _T]) -> _T | None:
    """What the coroutine gives; ``None`` if the attempt has ended over it, or was broken off."""
    failure: RequestError
    try:
        return await limit.within(attempt.deadline - _now(), waiting)
    except TimeoutError:
        if not attempt.is_over:
            attempt.timed_out()
        return None
    except FAILURES as thrown:
        # What was thrown holds the request, and so the token: it must not hang on the error.
        failure = no_connection(thrown)
    if not attempt.is_over:
        attempt.failed(failure)
    return None


def _now() -> float:
    return time.monotonic()


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport of the application's own: used, and not closed."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)
