"""A publisher for asyncio: the outbox, and the tasks that send what it gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Literal, cast, overload

from watertight_sse._log import logger
from watertight_sse._publisher import _limits
from watertight_sse._publisher._entry import Answer, Entry, SessionEnd, is_admitted
from watertight_sse._publisher._errors import BufferFullError, PublisherClosedError, StoppedError, UnsentError
from watertight_sse._publisher._events import NewEvent, line_of
from watertight_sse._publisher._options import OnError, OnRetry, Options, WhenFull, Wire, tell_errors
from watertight_sse._publisher._owners import Awaited, Background, Group
from watertight_sse._publisher._senders import Senders
from watertight_sse._publisher._source import go_through
from watertight_sse._to_its_end import to_its_end
from watertight_sse._token import Token, TokenSource
from watertight_sse._urls import Endpoint


class Publisher:
    """Publishes to the sessions of one hub. Many tasks of one event loop may use it at once.

    Events of one session are published in the order of the calls, also while requests are lost and sent again. Each
    request has an ``Idempotency-Key`` and keeps it, so a hub takes it once, for as long as it remembers keys.
    What is published while a request is under way goes together in the next one, so a thousand tasks that publish one event
    each cost few requests.

    What is not published yet is in a buffer, bounded by number and by bytes. When it is full, callers wait for room, or, with
    ``when_full="drop"``, their events are dropped and counted in :attr:`dropped`. An outage of the hub that ends within
    ``give_up_after`` (and ``close_timeout``, if the publisher is closed meanwhile) loses nothing of it.

        async with Publisher("http://127.0.0.1:8080", token=lambda: minter.mint(publish=["sessions/**"])) as publisher:
            await publisher.publish("runs/7", {"text": "Hello"}, type="token")

    Leaving the block sends what is left, for ``close_timeout`` at most.
    """

    def __init__(  # noqa: PLR0913 - by name, and each with a default
        self,
        url: str,
        *,
        token: TokenSource | None = None,
        buffer_events: int = _limits.BUFFER_EVENTS,
        buffer_bytes: int = _limits.BUFFER_BYTES,
        when_full: WhenFull = "wait",
        batch_events: int = _limits.BATCH_EVENTS,
        in_flight_max: int = _limits.IN_FLIGHT_MAX,
        request_timeout: float = _limits.REQUEST_TIMEOUT,
        give_up_after: float | None = _limits.GIVE_UP_AFTER,
        close_timeout: float | None = _limits.CLOSE_TIMEOUT,
        on_retry: OnRetry | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Connects at the first publish.

        Args:
            url: where the hub is: ``http://127.0.0.1:8080``, or ``unix:/run/watertight/hub.sock``.
            token: a token, or a function that gives one, plain or ``async``: asked before each request, and once more, with
                ``refresh=True`` if it takes that, after a 401.
            buffer_events: events held at most.
            buffer_bytes: their JSON at most, bytes.
            when_full: ``"wait"`` or ``"drop"``.
            batch_events: events in one request at most.
            in_flight_max: requests under way at once, all to different sessions, and connections.
            request_timeout: seconds for one request.
            give_up_after: seconds for which one request is retried; ``None``: for ever.
            close_timeout: seconds for which closing waits; ``None``: as long as it takes.
            on_retry: told of each failed attempt that is followed by a wait, and of its seconds. Not of those that are followed
                by the next at once: a token that is refreshed, a kept connection that is replaced.
            on_error: told of each event of :meth:`enqueue` that was not published. Default: it is logged.

        Raises:
            ValueError: a setting that cannot be used.
        """
        self._options = Options(
            Endpoint.parse(url),
            buffer_events,
            buffer_bytes,
            when_full,
            batch_events,
            in_flight_max,
            request_timeout,
            give_up_after,
            close_timeout,
            on_retry,
            on_error,
        )
        self._wire = Wire(self._options.endpoint)
        self._outbox = self._options.outbox()
        self._awaited = Awaited()
        self._background = Background(self._notify)
        self._senders = Senders(self._options, self._wire, Token(token), self._outbox, self._tell)
        self._changed: asyncio.Future[None] | None = None
        """Done at the next change, for all who wait for one."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False
        self._since_pause = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Events that were dropped for lack of room, in all."""
        return self._dropped

    @property
    def buffered(self) -> int:
        """Events in the buffer, those under way included."""
        return self._outbox.events

    @property
    def failed(self) -> int:
        """Events of :meth:`enqueue` that were not published, in all."""
        return self._background.failures

    async def publish(
        self,
        session: str,
        data: Any,
        *,
        type: str | None = None,
        ttl: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publishes one event and returns its id once it is in the session's log. ``data`` is any JSON, and is carried as its
        JSON text: the text ``"hello"`` arrives with its quotes, see :meth:`publish_text`.

        Cancelling it takes the event out if it is not under way yet. If it is, it goes on, and the hub may take it.

        Args:
            session: its name.
            data: read before this first waits; it may be changed afterwards.
            type: of the event; ``message`` if none is named.
            ttl: how long it may be replayed, seconds.
            key: an ``Idempotency-Key`` of the caller's own: the same event with the same key, published again while the hub
                remembers it (ten minutes, and not over its restart), also by another process, is published once. It goes as a
                request of its own.

        Raises:
            RequestError: the hub refused the event.
            GaveUpError: no answer for ``give_up_after``; the hub may have taken the event.
            BufferFullError: with ``when_full="drop"``.
            PublisherClosedError: the publisher is closed, or was closed before the event was sent.
            ValueError, TypeError: arguments that can never be published.
        """
        return cast("str", await self._send(self._wire.event(self._awaited, session, data, type, ttl, key)))

    async def publish_text(
        self,
        session: str,
        text: str,
        *,
        type: str | None = None,
        ttl: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publishes one event whose data is ``text`` as it stands, as a request of its own. Otherwise as :meth:`publish`."""
        return cast("str", await self._send(self._wire.text(self._awaited, session, text, type, ttl, key)))

    async def enqueue(
        self, session: str, data: Any, *, type: str | None = None, ttl: float | None = None
    ) -> bool:
        """Puts one event into the buffer, and waits for room in it but not for the hub. False if it was dropped
        (``when_full="drop"``).

        An event that is not published in the end is told to ``on_error``, and by the next :meth:`flush`. Cancelling it
        takes the event out if it is not under way yet.

        Raises:
            PublisherClosedError, ValueError, TypeError: as :meth:`publish`.
        """
        entry = self._wire.event(self._background, session, data, type, ttl, None)
        loop = self._begin(entry)
        if self._outbox.try_offer(entry):
            self._background.add(entry)
        elif self._options.when_full == "drop":
            self._dropped += 1
            return False
        else:
            entry.tag = loop.create_future()
            self._outbox.offer(entry)
            await self._or_withdraw(entry)
        self._senders.kick()
        self._since_pause += 1
        if self._since_pause >= self._options.batch_events:
            await self._pause()
        return True

    @overload
    async def publish_many(
        self,
        session: str,
        events: Iterable[Any] | AsyncIterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: Literal[False] = False,
    ) -> int: ...

    @overload
    async def publish_many(
        self,
        session: str,
        events: Iterable[Any] | AsyncIterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: Literal[True],
    ) -> list[str]: ...

    async def publish_many(
        self,
        session: str,
        events: Iterable[Any] | AsyncIterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: bool = False,
    ) -> int | list[str]:
        """Publishes what ``events`` gives, in order, as NDJSON in batches that gather while the one before is under way.
        Returns how many; with ``ids`` the ids, all of which are then held.

        Each item is a :class:`NewEvent`, or any JSON, which is published with this ``type`` and ``ttl``. Nothing is drawn
        while two batches are held: whoever gives the events is as fast as the hub. It always waits for room, also with
        ``when_full="drop"``.

        An asynchronous source has a task of its own, from its first item to its last.

        If the source raises, or gives something that cannot be published, what it gave before is published, and then that is
        raised. Cancelling it takes out what is not under way; the batch that is goes on, and the hub may take it.

        Raises:
            StoppedError: the hub refused an event, or did not answer, or the publisher was closed: how far it came, and why.
        """
        self._wire.check(session)
        self._check_loop()
        group = Group(self._outbox, self._notify, keep_ids=ids)
        broken: Exception | None = None
        try:
            try:
                await self._draw(group, session, events, type, ttl)
            except Exception as thrown:  # raised again below, when what was drawn is settled
                broken = thrown
            await self._wait(lambda: not group.pending)
        except asyncio.CancelledError:
            group.withdraw()
            self._senders.kick()
            self._notify()
            raise
        if group.error is not None:
            raise StoppedError(group.count, group.last_id) from group.error
        if broken is not None:
            raise broken
        return group.count if group.ids is None else group.ids

    async def end(
        self, session: str, *, event: NewEvent | None = None, keep: float | None = None
    ) -> SessionEnd:
        """Ends the session, after everything that was published to it before. Needs a token with ``admin``.

        Ending an ended session changes nothing, and answers as the first end did. Cancelling it as :meth:`publish`.

        Args:
            session: its name; it is made if there is none.
            event: its last event.
            keep: for how many seconds its history is kept; above zero, 30 days at most.

        Raises:
            RequestError, GaveUpError, PublisherClosedError, ValueError, TypeError: as :meth:`publish`.
        """
        # Never dropped: those who watch wait for it.
        entry = self._wire.end(self._awaited, session, event, keep)
        return cast("SessionEnd", await self._send(entry, may_drop=False))

    async def flush(self) -> None:
        """Waits until every event that :meth:`enqueue` has taken so far is published or given up. Cancelling it changes
        nothing.

        Raises:
            UnsentError: so many were not published since the last ``flush``.
        """
        mark = self._background.offered
        await self._wait(lambda: self._background.is_settled(mark))
        if (unsent := self._background.unsent()) is not None:
            raise unsent

    async def aclose(self) -> None:
        """Takes nothing more, sends what is left for ``close_timeout`` at most, and closes the connections. What is not sent
        then fails with ``PublisherClosedError``. Cancelling it gives up what is left at once.

        Raises:
            UnsentError: events of :meth:`enqueue` were not published since the last ``flush``.
        """
        self._is_closing = True
        try:
            if not self._outbox.is_empty:
                emptied = self._wait(lambda: self._outbox.is_empty)
                await asyncio.wait_for(emptied, self._options.close_timeout)
        except asyncio.TimeoutError:
            logger.error("the publisher was closed with %d events unsent", self._outbox.events)
        finally:
            self._outbox.abandon(PublisherClosedError())
            self._tell()
            await to_its_end(self._senders.aclose())
        if (unsent := self._background.unsent()) is not None:
            raise unsent

    async def __aenter__(self) -> Publisher:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As :meth:`aclose`. An error that leaves the block is not hidden by events that are left: those are logged."""
        try:
            await self.aclose()
        except UnsentError as unsent:
            if error is None:
                raise
            logger.error("%s", unsent)

    async def _send(self, entry: Entry, *, may_drop: bool = True) -> Answer:
        entry.tag = self._begin(entry).create_future()
        if not may_drop or self._options.when_full == "wait":
            self._outbox.offer(entry)
        elif not self._outbox.try_offer(entry):
            self._dropped += 1
            raise BufferFullError
        self._senders.kick()
        answer: Answer = await self._or_withdraw(entry)
        return answer

    async def _or_withdraw(self, entry: Entry) -> Any:
        try:
            return await entry.tag
        except asyncio.CancelledError:
            if entry.tag.done() and not entry.tag.cancelled():
                # Both came at once: this way the loop does not complain of an error that nobody heard.
                entry.tag.exception()
            if self._outbox.withdraw(entry):
                self._background.remove(entry)
                self._notify()
            self._senders.kick()
            raise

    async def _draw(
        self,
        group: Group,
        session: str,
        events: Iterable[Any] | AsyncIterable[Any],
        type: str | None,
        ttl: float | None,
    ) -> None:
        async def put(item: Any) -> bool:
            entry = Entry(session, line_of(item, type, ttl), group)
            return self._try_put(group, entry) or await self._put(group, entry)

        if isinstance(events, AsyncIterable):
            await go_through(events, put, group)
            return
        for item in events:
            if not await put(item):
                return

    def _try_put(self, group: Group, entry: Entry) -> bool:
        """Puts an event of a ``publish_many`` into the buffer if nothing has to be waited for: most of them."""
        batch = self._options.batch_events
        if group.pending >= _limits.WINDOW_BATCHES * batch or self._since_pause >= batch:
            return False
        if group.error is not None or self._is_closing:
            return False
        self._outbox.check(entry)
        if not self._outbox.try_offer(entry):
            return False
        group.add(entry)
        self._since_pause += 1
        if self._outbox.ready:
            self._senders.kick()
        return True

    async def _put(self, group: Group, entry: Entry) -> bool:
        """The same with whatever has to be waited for. False if an event before it has failed."""
        self._outbox.check(entry)
        if self._since_pause >= self._options.batch_events:
            await self._pause()
        window = _limits.WINDOW_BATCHES * self._options.batch_events
        await self._wait(lambda: group.pending < window or group.error is not None)
        if group.error is not None:
            return False
        if self._is_closing:
            group.stop(PublisherClosedError())
            return False
        group.add(entry)
        is_in = self._outbox.offer(entry)
        self._senders.kick()
        if not is_in:
            await self._wait(partial(is_admitted, entry))
        return True

    def _begin(self, entry: Entry) -> asyncio.AbstractEventLoop:
        """Checks that it may be offered."""
        loop = self._check_loop()
        if self._is_closing:
            raise PublisherClosedError
        self._outbox.check(entry)
        return loop

    def _check_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError("this publisher belongs to another event loop: make one in each")
        return loop

    async def _pause(self) -> None:
        """Lets others run now and then, where nothing has to be waited for."""
        self._since_pause = 0
        await asyncio.sleep(0)

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if self._changed is None:
                self._changed = asyncio.get_running_loop().create_future()
            # Shielded: others wait for it, too.
            await asyncio.shield(self._changed)

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    def _tell(self) -> None:
        """After each answer: whoever waits for the outbox, and for errors, is told."""
        self._notify()
        tell_errors(self._options.on_error, self._background.untold())
