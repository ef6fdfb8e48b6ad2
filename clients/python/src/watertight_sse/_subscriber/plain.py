"""The subscription without asyncio. Decides nothing: it carries out what ``Core`` and ``Attempt`` say.

No thread and no timer. All that a subscription holds belongs to one generator, which gives it back on each of its
ways out.
"""

from __future__ import annotations

import inspect
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from types import GeneratorType, TracebackType
from typing import Literal, TypeAlias, TypeVar, cast

import httpx

from watertight_sse._back_off import RETRY_BASE, RETRY_MAX
from watertight_sse._errors import RequestError, TokenError
from watertight_sse._event import Event, Gap
from watertight_sse._subscriber.attempt import Attempt, Move
from watertight_sse._subscriber.core import Core
from watertight_sse._subscriber.limits import CONNECT_TIMEOUT, MAX_EVENT_BYTES
from watertight_sse._subscriber.network import (
    FAILURES,
    check_proxy,
    httpx_request,
    no_connection,
)
from watertight_sse._subscriber.options import HeadersSource, OnEnd, make_options
from watertight_sse._subscriber.plain_transport import CORE_FAILURES, TIMEOUTS, PlainTransport
from watertight_sse._subscriber.status import ConnectionStatus
from watertight_sse._subscriber.watch import FOREVER, Watch
from watertight_sse._token import PlainTokenSource

Item: TypeAlias = Event | Gap
TransportFactory: TypeAlias = Callable[[], httpx.BaseTransport]
_T = TypeVar("_T")


class Subscription(Iterator[Item]):
    """A stream that comes back by itself, where it left off. See ``subscribe``."""

    def __init__(self, core: Core, make_transport: TransportFactory, watch: Watch) -> None:
        """For ``subscribe`` only."""
        self._core = core
        self._make_transport = make_transport
        self._watch = watch
        self._is_closed = False
        self._items: GeneratorType[Item, None, None] | None = None

    @property
    def last_event_id(self) -> str:
        """The position to resume from: that of the last item that the loop was given. Empty for none."""
        return self._core.cursor.id

    @property
    def status(self) -> ConnectionStatus:
        """What has become of the connection."""
        return self._core.status

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Item:
        """The next event or gap. Waits as long as it takes; ``close`` in another thread ends the wait."""
        if self._is_closed:
            raise StopIteration
        # After an exception of a callback (or of a signal handler) or an error a generator is over.
        if self._items is None or self._items.gi_frame is None:
            items = _items(self._core, self._make_transport, self._watch)
            self._items = cast("GeneratorType[Item, None, None]", items)
        try:
            return next(self._items)
        except ValueError:
            # So says a generator that another thread is closing.
            if not self._is_closed:
                raise
        raise StopIteration

    def restart(self) -> None:
        """Closes the connection, if there is one, and opens another, without a wait, from the same position on.

        In any thread. Of the loop that waits nothing is heard of it.
        """
        self._core.restart()
        self._watch.interrupt()

    def close(self) -> None:
        """Gives the connection back, and ends the loop. In any thread, also in a signal handler.

        A loop that waits in another thread ends at once, but that a name is being resolved or a connection made is
        waited for there (``connect_timeout``). Doing it twice is doing it once.
        """
        self._is_closed = True
        try:
            self._core.close()
        finally:
            # Whatever the application raises when it is told.
            self._give_back()

    def _give_back(self) -> None:
        self._watch.interrupt()
        items = self._items
        if items is not None and not items.gi_running:
            try:
                items.close()
            except ValueError:
                # Between the question and the call its own thread went on with it, and finds that it is over.
                return

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscription {self._core.options!r} {self._core.status.state}>"


def subscribe(  # noqa: PLR0913 - by name, and each with a default
    url: str,
    session: str | None = None,
    *,
    token: PlainTokenSource | None = None,
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
    transport: httpx.BaseTransport | None = None,
) -> Subscription:
    """A subscription to a session of a hub, or to any stream of events.

    ::

        with subscribe("https://events.example.com", "orders", token=get_token) as events:
            for event in events:
                ...

    All arguments are those of ``watertight_sse.subscribe``, but that a function that gives tokens has to be a plain
    one, and that ``transport`` is one of httpx's plain ones: of such a one ``close`` ends no wait, and each of its reads
    may take as long as the deadline was away when it began.

    ``close`` in whichever thread, and an exception that a wait raises give the connection back. After ``break`` the
    subscription keeps it for the next loop, as long as something refers to the subscription.

    Raises:
        ValueError: an argument that no request can carry.
        TypeError: a function for tokens that is ``async``. What the loop raises is the same as with asyncio.
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
    if inspect.iscoroutinefunction(token) or inspect.iscoroutinefunction(
        getattr(token, "__call__", None)  # noqa: B004 - not whether it can be called, but what that gives
    ):
        raise TypeError("the function that gives tokens is async: it has to be a plain one here")
    if proxy is not None:
        check_proxy(proxy)
    watch = Watch()

    def make_transport() -> httpx.BaseTransport:
        if transport is not None:
            return _Borrowed(transport)
        return PlainTransport(watch, verify, options.socket, proxy)

    return Subscription(Core(options), make_transport, watch)


def _items(core: Core, make_transport: TransportFactory, watch: Watch) -> Generator[Item, None, None]:
    """All items from the core's position on. Knows nothing of the ``Subscription``, so that forgetting that one
    forgets this one, too."""
    if core.is_over:
        return
    with make_transport() as transport:
        while (step := core.step(_now())) is not None:
            watch.begin()
            if core.is_over:
                # It was closed between the two.
                break
            if not isinstance(step, Attempt):
                watch.sleep(step)
                continue
            response: httpx.Response | None = None
            try:
                response = _open(core, step, transport, watch)
                chunks = _chunks(response) if response is not None else None
                while True:
                    while (item := step.next_item()) is not None:
                        yield item
                    if step.is_over or chunks is None:
                        break
                    _read(step, chunks, watch)
            except BaseException:
                core.drop(step)
                raise
            finally:
                if response is not None:
                    _close(response)
            core.finish(step, _now())
    error = core.take_error()
    if error is not None:
        raise error


def _open(
    core: Core, attempt: Attempt, transport: httpx.BaseTransport, watch: Watch
) -> httpx.Response | None:
    """The response whose body is the stream; ``None`` if there is none, and the attempt has what it needs."""
    token = _token(core, attempt)
    is_redirected = False
    while not attempt.is_over:
        request = httpx_request(attempt.send(token, _now(), is_redirected=is_redirected))
        response = _within(attempt, watch, request, partial(transport.handle_request, request))
        if response is None:
            return None
        is_stream = False
        try:
            move = attempt.take_head(response.status_code, response.headers, _now(), time.time())
            is_stream = move is Move.STREAM
            if is_stream:
                return response
            if move is Move.BODY:
                body = _within(attempt, watch, request, partial(_body, response, attempt.body_limit))
                if body is not None:
                    attempt.take_body(body)
                return None
            if move is Move.DONE:
                return None
        finally:
            if not is_stream:
                _close(response)
        is_redirected = move is Move.SEND
        if move is Move.REFRESH:
            token = _token(core, attempt)
    return None


def _token(core: Core, attempt: Attempt) -> str | None:
    try:
        return core.options.token.get(refresh=attempt.refresh)
    except TokenError as failure:
        if not attempt.is_over:
            attempt.failed(failure)
        return None


def _read(attempt: Attempt, chunks: Iterator[bytes], watch: Watch) -> None:
    """The next bytes of the stream, or its end."""
    chunk = _within(attempt, watch, None, lambda: next((chunk for chunk in chunks if chunk), b""))
    if chunk is None:
        return
    if chunk:
        attempt.feed(chunk, _now())
    else:
        attempt.ended()


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body, as it comes. Some transports (a test's mock) have it whole already."""
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()


def _body(response: httpx.Response, most: int) -> bytes:
    """The body, if it is not longer than that; else nothing, which no reader understands."""
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > most:
            return b""
    return bytes(body)


def _within(
    attempt: Attempt, watch: Watch, request: httpx.Request | None, work: Callable[[], _T]
) -> _T | None:
    """What the work gives; ``None`` if the attempt has ended over it, or was broken off."""
    watch.set_deadline(attempt.deadline)
    if request is not None:
        # For a transport of the application's own.
        left = max(attempt.deadline - _now(), 0.001)
        request.extensions["timeout"] = httpx.Timeout(left if left < FOREVER else None).as_dict()
    is_timeout = False
    failure: RequestError | None = None
    try:
        return work()
    except TIMEOUTS:
        is_timeout = True
    except (*FAILURES, *CORE_FAILURES) as thrown:
        # What was thrown holds the request, and so the token: it must not hang on the error.
        failure = no_connection(thrown)
    if attempt.is_over:
        return None
    if is_timeout:
        attempt.timed_out()
    elif failure is not None:
        attempt.failed(failure)
    return None


def _close(response: httpx.Response) -> None:
    try:
        response.close()
    except (*FAILURES, *CORE_FAILURES):
        # It was broken already: there is nothing left to be given back, and nobody whom that would help.
        return


def _now() -> float:
    return time.monotonic()


class _Borrowed(httpx.BaseTransport):
    """A transport of the application's own: used, and not closed."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._transport.handle_request(request)
