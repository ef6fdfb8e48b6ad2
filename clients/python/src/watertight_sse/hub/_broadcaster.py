"""The broadcaster: a hub in the process, with the names of the application that it replaces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, TypeAlias

from watertight_sse import _hub
from watertight_sse.hub._batches import BATCH_EVENTS_MAX, Batches
from watertight_sse.hub._config import BroadcasterConfig
from watertight_sse.hub._events import Publishable, handed
from watertight_sse.hub._process import default_broadcaster, note_running, stopped
from watertight_sse.hub._queue import PlainQueue, Queue
from watertight_sse.hub._server import Server, Setting, listening
from watertight_sse.hub._stats import Stats, at_rest, of_figures
from watertight_sse.hub._wakes import Wakes

Replay: TypeAlias = "Literal['all'] | int | None"
"""What of a session's history a new subscriber gets: all, the last so many events, or nothing."""

_REQUESTS_GRACE_SECONDS = 1.0
"""How long requests have to be answered after the last reader has gone."""


class Broadcaster:
    """A hub in this process. Its threads start with its first use, or by ``start()``; ``stop()`` ends them.

    All methods may be called from any thread. What is awaited belongs to the loop that awaits it.
    """

    def __init__(self, config: BroadcasterConfig | None = None) -> None:
        """Nothing is started yet: a broadcaster of a module may be made before the process forks."""
        self.config = config or BroadcasterConfig()
        """Its figures."""
        self._lock = threading.Lock()
        self._native: _hub.Hub | None = None
        self._server: _hub.Server | None = None
        self._is_stopped = False

    @property
    def has_begun(self) -> bool:
        """Whether it has a hub: it was used or started, and was not stopped since."""
        return self._native is not None

    # Start and stop

    async def start(self) -> None:
        """Starts the hub's threads, if they do not run; again after ``stop()``, with an empty hub.

        A hub that still stops, because ``stop()`` was cancelled or another task waits for it, goes on with that by itself; it
        is served no more.
        """
        if self._is_stopped and self._native is not None:
            await asyncio.to_thread(self._leave)
        self._is_stopped = False
        self._hub()

    async def stop(self, grace: float = 5.0) -> None:
        """Stops: no newcomers, no more events. Readers read what there is and are told ``SHUTTING_DOWN``.

        Those who have not after ``grace`` seconds are cut off. Cancelled, the hub goes on stopping; another ``stop()`` waits
        for it.
        """
        hub, server = self._native, self._server
        self._is_stopped = True
        if hub is None:
            return
        if not hub.is_of_the_parent:
            # Readers first, while the server answers that it stops; then what is left of its requests.
            await Wakes.of_this_loop().done(hub.stop(grace))
            if server is not None:
                await asyncio.to_thread(server.close, _REQUESTS_GRACE_SECONDS)
        self._let_go(hub)

    def close(self, grace: float = 5.0) -> None:
        """The same without a loop: waits here. Not in a thread whose loop has readers; those could not read meanwhile.

        In a child of the process that has started it, either only lets go of it.
        """
        hub, server = self._native, self._server
        self._is_stopped = True
        if hub is not None:
            self._close(hub, server, grace)

    def _close(self, hub: _hub.Hub, server: _hub.Server | None, grace: float) -> None:
        if not hub.is_of_the_parent:
            hub.stop(grace).wait(grace + 1.0)
            if server is not None:
                server.close(_REQUESTS_GRACE_SECONDS)
        self._let_go(hub)

    def _leave(self) -> None:
        """Lets go of a hub that is stopping. Its readers have the rest of their grace."""
        hub, server = self._native, self._server
        if server is not None:
            server.close(_REQUESTS_GRACE_SECONDS)
        if hub is not None:
            self._let_go(hub)

    def _let_go(self, hub: _hub.Hub) -> None:
        with self._lock:
            if self._native is hub:
                self._native, self._server = None, None
        hub.close()

    def _hub(self) -> _hub.Hub:
        hub = self._native
        if hub is not None:
            return hub
        with self._lock:
            if self._is_stopped:
                raise stopped()
            if self._native is None:
                config = self.config
                self._native = _hub.Hub(
                    max_queue_size=config.max_queue_size,
                    max_history_per_session=config.max_history_per_session,
                    event_ttl=config.event_ttl,
                    session_ttl=config.session_ttl,
                    cleanup_interval=config.cleanup_interval,
                    max_subscriber_idle_time=config.max_subscriber_idle_time,
                    memory_warning_bytes=config.memory_warning_bytes,
                    memory_critical_bytes=config.memory_critical_bytes,
                )
                note_running(self)
            return self._native

    async def __aenter__(self) -> Broadcaster:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Broadcaster:
        if self._is_stopped:
            self._leave()
        self._is_stopped = False
        self._hub()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    # Publish

    async def broadcast(self, session_id: str, event: Publishable, *, reopen: bool = False) -> str:
        """Publishes an event; its id. Waits until readers are near, so that they are not outrun.

        Cancelled while it waits, the event is published all the same. ``reopen``: a session that was ended begins anew.

        Raises:
            HubError: the event is refused; then it is not published.
        """
        kind, data, ttl = handed(event)
        published, pending = self._hub().publish(session_id, kind, data, ttl, reopen)
        if pending is not None:
            await Wakes.of_this_loop().done(pending)
        return published

    async def broadcast_many(
        self, session_id: str, events: Iterable[Publishable], *, reopen: bool = False
    ) -> list[str]:
        """Publishes events in order, some hundreds at once; their ids. Waits for readers as ``broadcast()`` does.

        Cancelled or refused, a part of them may be published: the first ones, never some in between.

        Whatever is raised has ``ids``: of what was published before.

        Raises:
            HubError: an event is refused (``index`` says which); none of its batch is published, those before it are.
            ValueError, TypeError: an event is none.
        """
        hub, batches = self._hub(), self._batches(events)
        for batch in batches:
            with batches.trying(batch):
                batches.published(
                    await Wakes.of_this_loop().done(hub.publish_batch(session_id, batch, reopen))
                )
        return batches.ids

    def broadcast_nowait(self, session_id: str, event: Publishable, *, reopen: bool = False) -> str:
        """Publishes an event, from any thread, without waiting for readers: they get a gap if it outruns them. Its id.

        Raises:
            HubError: the event is refused; then it is not published.
        """
        kind, data, ttl = handed(event)
        return self._hub().publish(session_id, kind, data, ttl, reopen)[0]

    def broadcast_sync(self, session_id: str, event: Publishable, *, reopen: bool = False) -> str:
        """As ``broadcast()``, but waits here: for threads without a loop."""
        kind, data, ttl = handed(event)
        published, pending = self._hub().publish(session_id, kind, data, ttl, reopen)
        if pending is not None:
            pending.wait()
        return published

    def broadcast_many_sync(
        self, session_id: str, events: Iterable[Publishable], *, reopen: bool = False
    ) -> list[str]:
        """As ``broadcast_many()``, but waits here: for threads without a loop."""
        hub, batches = self._hub(), self._batches(events)
        for batch in batches:
            with batches.trying(batch):
                batches.published(hub.publish_batch(session_id, batch, reopen).wait() or [])
        return batches.ids

    def _batches(self, events: Iterable[Publishable]) -> Batches:
        return Batches(events, max(1, min(BATCH_EVENTS_MAX, self.config.max_queue_size // 2)))

    async def end(
        self, session_id: str, event: Publishable | None = None, *, keep: float | None = None
    ) -> str:
        """Ends a session for good, after a last event if one is given; the id of its last event.

        Its subscribers read what is left and are told ``SESSION_ENDED``; so is who comes later, for ``keep`` seconds
        (``session_ttl`` if not said). It takes no events any more.

        Raises:
            HubError: the event is refused; then the session has not ended.
        """
        return self.end_nowait(session_id, event, keep=keep)

    def end_nowait(
        self, session_id: str, event: Publishable | None = None, *, keep: float | None = None
    ) -> str:
        """The same, from any thread."""
        return self._hub().end(session_id, None if event is None else handed(event), keep)

    # Subscribe

    def subscribe(
        self, session_id: str, *, last_event_id: str | None = None, replay: Replay = None
    ) -> Subscribing:
        """``async with broadcaster.subscribe(session_id) as queue``, or ``with`` in a thread without a loop.

        It begins with what comes from now on, after ``last_event_id``, or with a ``replay`` of what is kept.
        """
        return Subscribing(self, session_id, last_event_id, replay)

    async def add_subscriber(
        self, session_id: str, *, last_event_id: str | None = None, replay: Replay = None
    ) -> Queue:
        """A queue, to be given back by ``remove_subscriber``. Better: ``subscribe``, which cannot forget it.

        Raises:
            HubError: there is no room for it, or the session's name is none.
        """
        wakes = Wakes.of_this_loop()
        try:
            number = wakes.number()
            reader = self._hub().subscribe(session_id, last_event_id, _written(replay), wakes.bell, number)
            return Queue(session_id, reader, wakes, number)
        finally:
            wakes.end_if_unused()

    async def remove_subscriber(self, session_id: str, queue: Queue) -> None:
        """Closes a queue. Again: nothing."""
        queue.close()

    def add_plain_subscriber(
        self, session_id: str, *, last_event_id: str | None = None, replay: Replay = None
    ) -> PlainQueue:
        """A queue for a thread without a loop; to be closed.

        Raises:
            HubError: there is no room for it, or the session's name is none.
        """
        return PlainQueue(session_id, self._hub().subscribe(session_id, last_event_id, _written(replay)))

    # Look and serve

    def get_stats(self) -> Stats:
        """The figures now. Takes some microseconds, however many sessions and subscribers there are."""
        hub = self._native
        if hub is None:
            return at_rest(self.config)
        return of_figures(hub.stats(), self.config)

    def clean_up(self) -> None:
        """One whole cleanup, now: what the hub does every ``cleanup_interval`` by itself."""
        self._hub().clean_up()

    def serve(self, port: int = 8080, host: str = "127.0.0.1", **settings: Setting) -> Server:
        """Opens the hub's own accept loop: the routes of ``watertight serve``, for this broadcaster's sessions.

        ``host`` is an IP address, or ``unix:/PATH``. ``settings`` are the hub program's, with its names: ``token_secret``,
        ``cors_origins``, ``allowed_hosts``, ``max_connections``... Without a way to verify tokens everybody who reaches it may
        read and publish, so it listens on loopback only, unless ``insecure_open=True`` means it. The limit on open files is
        raised as far as it goes.

        Raises:
            ValueError: a setting makes no sense; it is named, with what would do.
            OSError: the address cannot be listened on.
            RuntimeError: it is served already.
        """
        hub, pairs = self._hub(), listening(host, port, settings)
        with self._lock:
            if self._server is not None:
                raise RuntimeError("this broadcaster is served already")
            native = self._server = hub.serve(pairs)

        def stop(grace: float) -> None:
            # Started anew, the broadcaster has another hub by then, which is not this server's.
            if self._native is hub:
                self._is_stopped = True
                self._close(hub, native, grace)

        return Server(native.addresses, stop)


class Subscribing:
    """A subscription that is not open yet: enter it."""

    def __init__(
        self, broadcaster: Broadcaster, session_id: str, last_event_id: str | None, replay: Replay
    ) -> None:
        """Made by ``subscribe``."""
        self._broadcaster = broadcaster
        self._session_id = session_id
        self._last_event_id = last_event_id
        self._replay: Replay = replay
        self._open: list[Queue] = []
        self._plain: list[PlainQueue] = []

    async def __aenter__(self) -> Queue:
        queue = await self._broadcaster.add_subscriber(
            self._session_id, last_event_id=self._last_event_id, replay=self._replay
        )
        self._open.append(queue)
        return queue

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._open.pop().close()

    def __enter__(self) -> PlainQueue:
        queue = self._broadcaster.add_plain_subscriber(
            self._session_id, last_event_id=self._last_event_id, replay=self._replay
        )
        self._plain.append(queue)
        return queue

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._plain.pop().close()


def _written(replay: Replay) -> str | None:
    return None if replay is None else str(replay)


def get_sse_broadcaster(config: BroadcasterConfig | None = None) -> Broadcaster:
    """The broadcaster of this process; ``config`` counts for the call that makes it. Each child of a fork has its own."""
    return default_broadcaster(lambda: Broadcaster(config))


def serve(port: int = 8080, host: str = "127.0.0.1", **settings: Setting) -> Server:
    """Serves the broadcaster of this process: ``get_sse_broadcaster().serve(...)``."""
    return get_sse_broadcaster().serve(port, host, **settings)
