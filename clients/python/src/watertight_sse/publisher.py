"""Publishing on asyncio: a bounded buffer, and for each session with something in it a task that sends that, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import httpx

from .address import bearer, check_headers, parse_url, session_url
from .asyncio_wire import Token, Wire, cancel, drive, make_client
from .buffer import Receipt, Room
from .effects import Tell
from .errors import Closed, Dropped, InvalidOption, NotPublished, Stopped, WatertightError
from .events import NewEvent, Waiting
from .lanes import Entry, Lane
from .limits import BUFFER_BYTES_MAX, BUFFER_EVENTS_MAX, GIVE_UP_AFTER, IN_FLIGHT_MAX, REQUEST_TIMEOUT
from .outbox import (
    JSON,
    NDJSON,
    Ended,
    Keyed,
    Keys,
    Settings,
    check_key,
    deliver,
    encode,
    encode_end,
    is_about_events,
    read_ids,
)

_log = logging.getLogger("watertight_sse")


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish_many` published: how many events, and the id of the last of them."""

    count: int
    last_id: str | None


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """Counts since the publisher was made, and what it holds now."""

    published: int
    failed: int
    """Refused, or given up."""
    dropped: int
    """Did not fit into the buffer of a publisher with `when_full="drop"`."""
    held_events: int
    held_bytes: int


class Publisher:
    """Publishes to the sessions of one hub, from one event loop.

    Events of one session are taken by the hub in the order in which they got into the buffer: a request to a session is not
    sent before the one before it was answered, or given up, and what came meanwhile goes together with the next one.
    Requests to different sessions overlap. Each has an `Idempotency-Key`, the same with each retry, so a lost answer doubles
    nothing. While the hub is away the events wait in the buffer; each request goes on trying for `give_up_after`.

    Use it with `async with`, which waits until all is published; without, call `aclose`.

    Args:
        url: The hub's, `http://127.0.0.1:8080`.
        token: Sent as `Authorization: Bearer`, or a function that gives it, asked before each attempt.
        headers: Sent with each request.
        buffer_events: Events held at most, those under way included.
        buffer_bytes: Their JSON at most, bytes.
        when_full: What `publish` does when the buffer is full: `"wait"`, or `"drop"` the new event and count it.
        request_timeout: One request must be answered within this time, seconds.
        give_up_after: How long one request goes on retrying, seconds.
        client: To send with, instead of one of its own; it is not closed.
        on_retry: Called before each retry.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        headers: Mapping[str, str] | None = None,
        buffer_events: int = BUFFER_EVENTS_MAX,
        buffer_bytes: int = BUFFER_BYTES_MAX,
        when_full: Literal["wait", "drop"] = "wait",
        request_timeout: float = REQUEST_TIMEOUT,
        give_up_after: float = GIVE_UP_AFTER,
        client: httpx.AsyncClient | None = None,
        on_retry: Callable[[Waiting], None] | None = None,
    ) -> None:
        parse_url(url)
        if isinstance(token, str):
            bearer(token)
        if buffer_events < 1 or buffer_bytes < 1:
            raise InvalidOption("a buffer must have room for something")
        self._url, self._token, self._given_client, self._on_retry = url, token, client, on_retry
        self._settings = Settings(check_headers(headers), token is not None, callable(token), request_timeout, give_up_after)
        self._is_dropping = when_full == "drop"
        self._room = Room(buffer_events, buffer_bytes)
        self._keys = Keys()
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._client: httpx.AsyncClient | None = None
        self._is_closed = False
        self._published = self._failed = self._dropped = 0
        # Failures that nobody waited for and nobody was told yet.
        self._unheard = 0
        self._first_unheard: WatertightError | None = None

    async def publish(
        self, session: str, data: Any, *, type: str | None = None, ttl: float | None = None, key: str | None = None
    ) -> Receipt:
        """Puts one event into the buffer, and waits for room if there is none. Await what it returns for the event's id:
        `id = await (await publisher.publish("demo", 1))`.

        Args:
            session: Its name.
            data: Anything that has a JSON form; it is carried as its JSON text.
            type: `message` if none.
            ttl: For how many seconds it may be replayed.
            key: An `Idempotency-Key` of your own, which makes the hub take the event once even if another process publishes
                it again. Such an event is a request of its own.
        """
        session_url(self._url, session)
        body = encode(NewEvent(data, type, ttl))
        receipt = Receipt()
        entry = Entry(body, _size(body), self._settling(receipt), check_key(key))
        if not await self._offer(session, entry, self._is_dropping):
            self._dropped += 1
            receipt.settle(None, Dropped("the buffer is full"))
        return receipt

    async def publish_many(
        self,
        session: str,
        events: Iterable[Any] | AsyncIterable[Any],
        *,
        type: str | None = None,
        ttl: float | None = None,
    ) -> Published:
        """Publishes what an iterable gives, `NewEvent`s or the data of events, in order, and returns when the hub has taken
        all of it. Draws no more than the buffer has room for.

        It stops at the first event that is refused or given up, with `Stopped`: all before it are taken, none behind it.
        Cancelling it takes back what is not under way yet.
        """
        session_url(self._url, session)
        many = _Many()
        try:
            if isinstance(events, AsyncIterable):
                async for item in events:
                    await self._offer(session, many.entry(_event(item, type, ttl)), drop=False)
                    if many.error is not None:
                        break
            else:
                for item in events:
                    await self._offer(session, many.entry(_event(item, type, ttl)), drop=False)
                    if many.error is not None:
                        break
            await many.settled()
        finally:
            many.is_over = True
        if many.error is not None:
            raise Stopped(many.count, many.last_id, many.error) from many.error
        return Published(many.count, many.last_id)

    async def end(self, session: str, *, event: NewEvent | None = None, keep: float | None = None) -> Ended:
        """Ends a session, behind all that was published to it before: readers get what they lack, then `SESSION_ENDED`.

        Args:
            session: Its name.
            event: The session's last event.
            keep: For how many seconds the history is kept after the end.
        """
        session_url(self._url, session)
        body = encode_end(event, keep)
        receipt, answers = Receipt(), list[dict[str, object]]()
        entry = Entry(body, _size(body), self._settling(receipt), is_end=True, end=answers.append)
        await self._offer(session, entry, drop=False)
        await receipt
        return Ended.of(answers[0])

    async def flush(self) -> None:
        """Waits until nothing is held any more.

        Raises `NotPublished` if events failed since the last time whose receipts nobody awaited.
        """
        await self._room.empty()
        count, first = self._unheard, self._first_unheard
        self._unheard, self._first_unheard = 0, None
        if count and first is not None:
            raise NotPublished(count, first)

    @property
    def stats(self) -> PublisherStats:
        return PublisherStats(self._published, self._failed, self._dropped, self._room.events, self._room.bytes)

    async def aclose(self) -> None:
        """Closes it now: what is held fails with `Closed`. Call `flush` before, or use `async with`."""
        self._is_closed = True
        self._room.refuse_all(Closed("the publisher was closed"))
        await cancel(list(self._tasks))
        # A task that was cancelled before its first step has settled nothing.
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            self._fail(list(lane.entries), Closed("the publisher was closed"))
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Publisher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
            elif isinstance(error, Exception):
                # The body's own error is the one to see; this one was logged.
                with contextlib.suppress(NotPublished):
                    await self.flush()
        finally:
            await self.aclose()

    async def _offer(self, session: str, entry: Entry, drop: bool) -> bool:
        """Puts it into the buffer; `False` if it is to be dropped."""
        if not self._is_closed and not self._room.try_take(entry.size):
            if drop:
                return False
            await self._room.take(entry.size)
            if self._is_closed:
                self._room.give_back(entry.size)
        if self._is_closed:
            raise Closed("the publisher was closed")
        lane = self._lanes.get(session)
        if lane is None:
            lane = self._lanes[session] = Lane()
            lane.entries.append(entry)
            task = asyncio.get_running_loop().create_task(self._work(session, lane), name="watertight-sse publisher")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            lane.entries.append(entry)
        return True

    async def _work(self, session: str, lane: Lane) -> None:
        """Sends what is in a lane until there is nothing."""
        batch: list[Entry] = []
        try:
            while lane.entries and not self._is_closed:
                async with self._in_flight:
                    batch = self._wanted(lane.next_batch())
                    if batch:
                        await self._send(session, lane, batch)
                batch = []
        finally:
            # Nothing is left, unless it was cancelled.
            closed = Closed("the publisher was closed")
            self._lanes.pop(session, None)
            self._fail([*(entry for entry in batch if entry not in lane.entries), *lane.entries], closed)
            lane.entries.clear()

    def _wanted(self, batch: list[Entry]) -> list[Entry]:
        wanted: list[Entry] = []
        for entry in batch:
            if entry.is_wanted is None or entry.is_wanted():
                wanted.append(entry)
            else:
                entry.settle(None, Closed("it is not to be published any more"))
                self._room.give_back(entry.size)
        return wanted

    async def _send(self, session: str, lane: Lane, batch: list[Entry]) -> None:
        first = batch[0]
        try:
            answer = await self._exchange(session, batch)
            ids = [str(answer.get("last"))] if first.is_end else read_ids(answer, len(batch))
        except WatertightError as error:
            if is_about_events(error) and len(batch) > 1:
                # Those before and behind the one that is refused are still to get in.
                lane.give_back(batch)
                return
            _log.warning("%d events were not published: %s", len(batch), error)
            self._failed += len(batch)
            self._fail(batch, error)
            return
        lane.succeeded()
        if first.end is not None:
            first.end(answer)
        else:
            self._published += len(batch)
        for entry, id in zip(batch, ids, strict=True):
            entry.settle(id, None)
            self._room.give_back(entry.size)

    def _fail(self, batch: list[Entry], error: WatertightError) -> None:
        for entry in batch:
            entry.settle(None, error)
            self._room.give_back(entry.size)

    async def _exchange(self, session: str, batch: list[Entry]) -> dict[str, object]:
        first = batch[0]
        url = session_url(self._url, session, "end" if first.is_end else "events")
        body = first.body if first.is_end else b"\n".join(entry.body for entry in batch)
        keyed = Keyed(url, JSON if first.is_end else NDJSON, first.key or self._keys.next_key(), body)
        if self._given_client is None and self._client is None:
            self._client = make_client()
        client = self._given_client or self._client
        if client is None:
            raise Closed("the publisher was closed")
        outside = Wire(client, self._token)
        return await drive(deliver(keyed, self._settings, time.monotonic, random.random), outside, self._tell)

    def _tell(self, told: Tell) -> None:
        if isinstance(told.item, Waiting):
            _log.info("publishing again in %.1f s: %s", told.item.delay, told.item.reason)
            if self._on_retry is not None:
                try:
                    self._on_retry(told.item)
                except Exception:
                    # What only wants to know of retries must not stop them.
                    _log.exception("on_retry failed")

    def _settling(self, receipt: Receipt) -> Callable[[str | None, WatertightError | None], None]:
        def heard() -> None:
            self._unheard = max(self._unheard - 1, 0)

        def settle(id: str | None, error: WatertightError | None) -> None:
            if not receipt.settle(id, error, heard) and error is not None:
                self._unheard += 1
                self._first_unheard = self._first_unheard or error

        return settle


class _Many:
    """What one `publish_many` has in the buffer, and how far it came."""

    def __init__(self) -> None:
        self.count = 0
        self.last_id: str | None = None
        self.error: WatertightError | None = None
        self.is_over = False
        self._held = 0
        self._settled: asyncio.Future[None] | None = None

    def entry(self, event: NewEvent) -> Entry:
        body = encode(event)
        self._held += 1
        return Entry(body, _size(body), self._settle, is_wanted=lambda: self.error is None and not self.is_over)

    async def settled(self) -> None:
        """Waits until it is known what became of all."""
        while self._held:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    def _settle(self, id: str | None, error: WatertightError | None) -> None:
        self._held -= 1
        if error is None:
            self.count += 1
            self.last_id = id
        elif self.error is None:
            self.error = error
        if not self._held and self._settled is not None and not self._settled.done():
            self._settled.set_result(None)


def _event(item: Any, type: str | None, ttl: float | None) -> NewEvent:
    return item if isinstance(item, NewEvent) else NewEvent(item, type, ttl)


def _size(body: bytes) -> int:
    """What an event counts for: its JSON, and about as much as the objects around it need."""
    return len(body) + 400
