"""A publisher without asyncio: the same outbox, and threads that send what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Condition, Lock
from types import TracebackType
from typing import Any, Literal, cast, overload

from watertight_sse._log import logger
from watertight_sse._publisher import _limits
from watertight_sse._publisher._entry import Answer, Entry, SessionEnd, is_admitted
from watertight_sse._publisher._errors import BufferFullError, PublisherClosedError, StoppedError, UnsentError
from watertight_sse._publisher._events import NewEvent, line_of
from watertight_sse._publisher._options import OnError, OnRetry, Options, WhenFull, Wire, tell_errors
from watertight_sse._publisher._owners import Awaited, Background, Group
from watertight_sse._publisher._threads import Threads
from watertight_sse._token import PlainTokenSource, Token
from watertight_sse._urls import Endpoint


class Publisher:
    """Publishes to the sessions of one hub, without asyncio. Many threads may use it at once.

    Everything that :class:`watertight_sse.Publisher` promises holds here, too: the order, the keys, the bounded buffer.

        with Publisher("http://127.0.0.1:8080") as publisher:
            publisher.publish("runs/7", {"text": "Hello"}, type="token")

    Requests are sent by threads of its own, which end when there is nothing to send. They are no daemons: a program that ends
    without closing the publisher still sends what is in the buffer, for ``give_up_after`` at most. A publisher that was
    made before a fork cannot be used after it.
    """

    def __init__(  # noqa: PLR0913 - by name, and each with a default
        self,
        url: str,
        *,
        token: PlainTokenSource | None = None,
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
        """As :class:`watertight_sse.Publisher`. A function that gives tokens is a plain one; it and the other functions
        are called by threads of the publisher, and may be called by several at once.

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
        self._lock = Lock()
        """Held for each call of the outbox, and never while anything is waited for or the application is called."""
        self._changed = Condition(self._lock)
        self._awaited = Awaited()
        self._background = Background(self._changed.notify_all)
        self._threads = Threads(
            self._options, self._wire, Token(token), self._outbox, self._lock, self._changed, self._tell
        )
        self._is_closing = False
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

    def publish(
        self,
        session: str,
        data: Any,
        *,
        type: str | None = None,
        ttl: float | None = None,
        key: str | None = None,
    ) -> str:
        """As ``publish`` of :class:`watertight_sse.Publisher`. An exception that interrupts the wait (Ctrl-C) takes the
        event out if it is not under way yet.
        """
        return cast("str", self._send(self._wire.event(self._awaited, session, data, type, ttl, key)))

    def publish_text(
        self,
        session: str,
        text: str,
        *,
        type: str | None = None,
        ttl: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publishes one event whose data is ``text`` as it stands, as a request of its own. Otherwise as :meth:`publish`."""
        return cast("str", self._send(self._wire.text(self._awaited, session, text, type, ttl, key)))

    def enqueue(self, session: str, data: Any, *, type: str | None = None, ttl: float | None = None) -> bool:
        """Puts one event into the buffer, and waits for room in it but not for the hub. False if it was dropped
        (``when_full="drop"``). What becomes of it is told to ``on_error``, and by the next :meth:`flush`.
        """
        entry = self._wire.event(self._background, session, data, type, ttl, None)
        with self._lock:
            self._begin(entry)
            if self._outbox.try_offer(entry):
                self._background.add(entry)
                self._kick(entry)
                return True
            if self._options.when_full == "drop":
                self._dropped += 1
                return False
            entry.tag = Future[None]()
            self._outbox.offer(entry)
        self._or_withdraw(entry)
        return True

    @overload
    def publish_many(
        self,
        session: str,
        events: Iterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: Literal[False] = False,
    ) -> int: ...

    @overload
    def publish_many(
        self,
        session: str,
        events: Iterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: Literal[True],
    ) -> list[str]: ...

    def publish_many(
        self,
        session: str,
        events: Iterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
        ids: bool = False,
    ) -> int | list[str]:
        """As ``publish_many`` of :class:`watertight_sse.Publisher`. That an event failed is noticed when the source gives
        its next."""
        self._wire.check(session)
        group = Group(self._outbox, self._changed.notify_all, keep_ids=ids)
        broken: Exception | None = None
        try:
            try:
                self._draw(group, session, events, type, ttl)
            except Exception as thrown:  # raised again below, when what was drawn is settled
                broken = thrown
            self._wait(lambda: not group.pending)
        except BaseException:
            with self._lock:
                group.withdraw()
                self._threads.kick()
                self._changed.notify_all()
            raise
        if group.error is not None:
            raise StoppedError(group.count, group.last_id) from group.error
        if broken is not None:
            raise broken
        return group.count if group.ids is None else group.ids

    def end(self, session: str, *, event: NewEvent | None = None, keep: float | None = None) -> SessionEnd:
        """Ends the session, after everything that was published to it before. As ``end`` of
        :class:`watertight_sse.Publisher`.
        """
        entry = self._wire.end(self._awaited, session, event, keep)
        return cast("SessionEnd", self._send(entry, may_drop=False))

    def flush(self) -> None:
        """Waits until every event that :meth:`enqueue` has taken so far is published or given up.

        Raises:
            UnsentError: so many were not published since the last ``flush``.
        """
        mark = self._background.offered
        self._wait(lambda: self._background.is_settled(mark))
        self._raise_unsent()

    def close(self) -> None:
        """Takes nothing more, sends what is left for ``close_timeout`` at most, and closes the connections. What is not sent
        then fails with ``PublisherClosedError``; a request that is under way then holds its thread until it is answered, for
        ``request_timeout`` at most.

        Raises:
            UnsentError: events of :meth:`enqueue` were not published since the last ``flush``.
        """
        with self._lock:
            self._is_closing = True
            try:
                self._changed.wait_for(lambda: self._outbox.is_empty, self._options.close_timeout)
            finally:
                unsent = self._outbox.abandon(PublisherClosedError())
                self._changed.notify_all()
                self._threads.close()
        if unsent:
            logger.error("the publisher was closed with %d events unsent", unsent)
        self._tell()
        self._raise_unsent()

    def __enter__(self) -> Publisher:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As :meth:`close`. An error that leaves the block is not hidden by events that are left: those are logged."""
        try:
            self.close()
        except UnsentError as unsent:
            if error is None:
                raise
            logger.error("%s", unsent)

    def _send(self, entry: Entry, *, may_drop: bool = True) -> Answer:
        entry.tag = Future[Answer]()
        with self._lock:
            self._begin(entry)
            if not may_drop or self._options.when_full == "wait":
                self._outbox.offer(entry)
            elif not self._outbox.try_offer(entry):
                self._dropped += 1
                raise BufferFullError
            self._kick(entry)
        answer: Answer = self._or_withdraw(entry)
        return answer

    def _or_withdraw(self, entry: Entry) -> Any:
        future: Future[Any] = entry.tag
        try:
            return future.result()
        except BaseException:
            # What the future holds comes after it is done; anything else has interrupted the wait.
            if not future.done():
                with self._lock:
                    future.cancel()
                    if self._outbox.withdraw(entry):
                        self._background.remove(entry)
                        self._changed.notify_all()
                    self._threads.kick()
            raise

    def _draw(
        self, group: Group, session: str, events: Iterable[Any], type: str | None, ttl: float | None
    ) -> None:
        window = _limits.WINDOW_BATCHES * self._options.batch_events
        for item in events:
            entry = Entry(session, line_of(item, type, ttl), group)
            with self._lock:
                self._outbox.check(entry)
                if group.pending >= window:
                    self._changed.wait_for(lambda: group.pending < window or group.error is not None)
                if self._is_closing:
                    group.stop(PublisherClosedError())
                if group.error is not None:
                    return
                group.add(entry)
                is_in = self._outbox.offer(entry)
                try:
                    self._threads.kick()
                except RuntimeError:
                    # No thread is to be had, and so nothing is under way.
                    group.withdraw()
                    raise
                if not is_in:
                    self._changed.wait_for(partial(is_admitted, entry))

    def _begin(self, entry: Entry) -> None:
        """Checks that it may be offered."""
        if self._is_closing:
            raise PublisherClosedError
        self._outbox.check(entry)

    def _kick(self, entry: Entry) -> None:
        """Sends what was offered; takes it out again if no thread can be had for it."""
        try:
            self._threads.kick()
        except RuntimeError:
            self._outbox.withdraw(entry)
            self._background.remove(entry)
            raise

    def _wait(self, is_so: Callable[[], bool]) -> None:
        with self._lock:
            self._changed.wait_for(is_so)

    def _raise_unsent(self) -> None:
        with self._lock:
            unsent = self._background.unsent()
        if unsent is not None:
            raise unsent

    def _tell(self) -> None:
        """After each answer, without the lock."""
        with self._lock:
            untold = self._background.untold()
        tell_errors(self._options.on_error, untold)
