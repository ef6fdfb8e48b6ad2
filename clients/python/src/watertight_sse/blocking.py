"""The same without asyncio: `subscribe` and `subscribe_url` for a plain loop, and `Publisher`.

No thread runs and nothing is held between two calls but one connection: a subscription reads when it is asked for the next
event, and a publish returns when the hub has taken the event.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import httpx

from . import wire
from .address import bearer, check_headers, parse_url, session_url
from .effects import AskToken, Close, Effect, Move, Read, Send, Sleep, Steps, Tell
from .errors import Stopped, TokenFailed, WatertightError
from .events import Event, Gap, NewEvent, Status, Waiting
from .limits import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, GIVE_UP_AFTER, REQUEST_TIMEOUT
from .machine import Machine
from .options import SubscribeOptions, UrlOptions
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
from .parser import Comment
from .plan import Plan, hub_plan, url_plan
from .publisher import Published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Publisher", "Subscription", "Token", "subscribe", "subscribe_url"]

T = TypeVar("T")

Token: TypeAlias = str | Callable[[bool], str] | None
"""A token, or a function that gives one, asked before each attempt. Its argument says whether the token before was refused,
so that one from a cache will not do."""


def _make_client() -> httpx.Client:
    return httpx.Client(
        verify=wire.trusted(), limits=wire.LIMITS, headers={"user-agent": wire.USER_AGENT}, follow_redirects=False
    )


class _Wire:
    """Does with httpx what the logic asks for. Owns at most one open answer."""

    def __init__(self, client: httpx.Client, token: Token) -> None:
        self._client = client
        self._token = token
        self._answer: httpx.Response | None = None
        self._chunks: Iterator[bytes] | None = None

    def perform(self, effect: Effect) -> object:
        if isinstance(effect, Read):
            return self._read(effect)
        if isinstance(effect, Send):
            return self._send(effect)
        if isinstance(effect, AskToken):
            return self._ask(effect)
        if isinstance(effect, Sleep):
            time.sleep(effect.delay)
        elif isinstance(effect, Close):
            self.close()
        return None

    def close(self) -> None:
        answer, self._answer, self._chunks = self._answer, None, None
        if answer is not None:
            answer.close()

    def _send(self, send: Send) -> object:
        self.close()
        request = wire.build(self._client, send.request, send.limit)
        try:
            self._answer = self._client.send(request, stream=True, follow_redirects=False)
        except wire.FAILURES as error:
            raise wire.failure(error, send.phase, send.limit) from None
        return wire.head(self._answer)

    def _read(self, read: Read) -> bytes | None:
        if self._answer is None:
            return None
        if self._chunks is None:
            # httpx looks at it once, when the body begins: so all reads of an answer have one limit.
            self._answer.request.extensions["timeout"]["read"] = read.longest
            self._chunks = self._answer.iter_raw()
        try:
            return next(self._chunks, None)
        except wire.FAILURES as error:
            raise wire.failure(error, read.phase, read.longest) from None

    def _ask(self, ask: AskToken) -> str:
        if not callable(self._token):
            return self._token or ""
        try:
            return self._token(ask.refresh)
        except Exception as error:
            raise TokenFailed(f"cannot get a token: {type(error).__name__}") from error


class Subscription:
    """Events and gaps of one stream, in order, until it is over; made by `subscribe` and `subscribe_url`.

    It connects at the first step, and comes back by itself from where it was. The loop ends when the hub says that the
    session has ended, when the server answers 204, and when it is closed; it raises a `WatertightError` that no reconnect
    can mend. Leaving the loop and letting the subscription go closes its connection; so does `with`.

    The limit for the first byte of a stream is here that for silence (three heartbeats), once the head is there.
    """

    def __init__(
        self,
        plan: Plan,
        token: Token,
        client: httpx.Client | None,
        on_status: Callable[[Status], None] | None,
        on_comment: Callable[[str], None] | None,
    ) -> None:
        self._own = _make_client() if client is None else None
        self._wire = _Wire(client or self._own or _make_client(), token)
        self._steps: Steps[None] | None = Machine(plan, time.monotonic, random.random).run()
        self._on_status, self._on_comment = on_status, on_comment
        self._position = plan.last_event_id

    @property
    def last_event_id(self) -> str:
        """The position behind what was taken last, to be stored and given to `subscribe` later; empty for none."""
        return self._position

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event | Gap:
        steps = self._steps
        if steps is None:
            raise StopIteration
        result: object = None
        failure: WatertightError | None = None
        try:
            while True:
                effect = steps.send(result) if failure is None else steps.throw(failure)
                result = failure = None
                if isinstance(effect, Tell | Move):
                    self._position = effect.position
                    item = effect.item if isinstance(effect, Tell) else None
                    if isinstance(item, Event | Gap):
                        return item
                    self._tell(item)
                    continue
                try:
                    result = self._wire.perform(effect)
                except WatertightError as error:
                    failure = error
        except BaseException:
            # Also when it is over, and when a signal's handler raised: nothing can go on from here.
            self.close()
            raise

    def _tell(self, item: Comment | Status | None) -> None:
        if isinstance(item, Comment):
            if self._on_comment is not None:
                self._on_comment(item.text)
        elif item is not None and self._on_status is not None:
            self._on_status(item)

    def close(self) -> None:
        """Closes the connection, now and for good. Doing it twice is doing it once."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
        self._wire.close()
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_steps", None) is not None:
            self.close()


def subscribe(
    url: str,
    session: str,
    *,
    token: Token = None,
    client: httpx.Client | None = None,
    **options: Unpack[SubscribeOptions],
) -> Subscription:
    """Subscribes to a session of the hub at `url`, from now on or as the options say (`SubscribeOptions`)."""
    return _subscription(hub_plan, (url, session), token, client, dict(options))


def subscribe_url(
    url: str,
    *,
    request: UrlOptions | None = None,
    token: Token = None,
    client: httpx.Client | None = None,
    **options: Unpack[SubscribeOptions],
) -> Subscription:
    """Subscribes to whatever stream of events is at `url`, a hub's or not (`request`: `UrlOptions`)."""
    return _subscription(url_plan, (url,), token, client, {**options, **(request or {})})


def _subscription(
    plan: Callable[..., Plan],
    where: tuple[str, ...],
    token: Token,
    client: httpx.Client | None,
    options: dict[str, Any],
) -> Subscription:
    if isinstance(token, str):
        bearer(token)
    on_status, on_comment = options.pop("on_status", None), options.pop("on_comment", None)
    settled = plan(
        *where, has_token=token is not None, can_refresh=callable(token), comments=on_comment is not None, **options
    )
    return Subscription(settled, token, client, on_status, on_comment)


class Publisher:
    """Publishes to the sessions of one hub, one request after the other: threads that share it take turns.

    Each request has an `Idempotency-Key`, the same with each retry, so a lost answer doubles nothing. Nothing is buffered: a
    publish returns when the hub has taken the event, and goes on trying for `give_up_after` while the hub is away.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        headers: Mapping[str, str] | None = None,
        request_timeout: float = REQUEST_TIMEOUT,
        give_up_after: float = GIVE_UP_AFTER,
        client: httpx.Client | None = None,
        on_retry: Callable[[Waiting], None] | None = None,
    ) -> None:
        parse_url(url)
        if isinstance(token, str):
            bearer(token)
        self._settings = Settings(check_headers(headers), token is not None, callable(token), request_timeout, give_up_after)
        self._url, self._token, self._on_retry = url, token, on_retry
        self._keys = Keys()
        self._own = _make_client() if client is None else None
        self._client = client or self._own
        self._turn = threading.Lock()

    def publish(
        self, session: str, data: Any, *, type: str | None = None, ttl: float | None = None, key: str | None = None
    ) -> str:
        """Publishes one event, and returns its id once it is in the session's log.

        Args:
            session: Its name.
            data: Anything that has a JSON form; it is carried as its JSON text.
            type: `message` if none.
            ttl: For how many seconds it may be replayed.
            key: An `Idempotency-Key` of your own.
        """
        return self._send(session, [encode(NewEvent(data, type, ttl))], check_key(key))[0]

    def publish_many(
        self, session: str, events: Iterable[Any], *, type: str | None = None, ttl: float | None = None
    ) -> Published:
        """Publishes what an iterable gives, `NewEvent`s or the data of events, in order and in batches.

        It stops at the first event that is refused or given up, with `Stopped`: all before it are taken, none behind it.
        """
        lines = (encode(item if isinstance(item, NewEvent) else NewEvent(item, type, ttl)) for item in events)
        count, last_id, batch_max = 0, None, BATCH_EVENTS_MAX
        waiting: list[bytes] = []
        while True:
            waiting.extend(islice(lines, batch_max - len(waiting)) if len(waiting) < batch_max else ())
            if not waiting:
                return Published(count, last_id)
            batch = _batch(waiting, batch_max)
            try:
                last_id = self._send(session, batch)[-1]
            except WatertightError as error:
                if not is_about_events(error) or len(batch) == 1:
                    raise Stopped(count, last_id, error) from error
                # Those before the one that is refused are still to get in.
                batch_max = len(batch) // 2
                continue
            count += len(batch)
            del waiting[: len(batch)]
            batch_max = min(batch_max * 2, BATCH_EVENTS_MAX)

    def end(self, session: str, *, event: NewEvent | None = None, keep: float | None = None) -> Ended:
        """Ends a session: readers get what they lack, then `SESSION_ENDED`.

        Args:
            session: Its name.
            event: The session's last event.
            keep: For how many seconds the history is kept after the end.
        """
        url = session_url(self._url, session, "end")
        return Ended.of(self._exchange(Keyed(url, JSON, self._keys.next_key(), encode_end(event, keep))))

    def close(self) -> None:
        """Closes its connections."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, session: str, lines: list[bytes], key: str | None = None) -> list[str]:
        url = session_url(self._url, session)
        answer = self._exchange(Keyed(url, NDJSON, key or self._keys.next_key(), b"\n".join(lines)))
        return read_ids(answer, len(lines))

    def _exchange(self, keyed: Keyed) -> dict[str, object]:
        with self._turn:
            outside = _Wire(self._client or _make_client(), self._token)
            return _drive(deliver(keyed, self._settings, time.monotonic, random.random), outside, self._tell)

    def _tell(self, told: Tell) -> None:
        if isinstance(told.item, Waiting) and self._on_retry is not None:
            self._on_retry(told.item)


def _batch(waiting: list[bytes], events_max: int) -> list[bytes]:
    """The first of what waits that go together."""
    count, size = 0, 0
    for line in waiting[:events_max]:
        size += len(line) + 1
        if count and size > BATCH_BYTES_MAX:
            break
        count += 1
    return waiting[:count]


def _drive(steps: Steps[T], outside: _Wire, tell: Callable[[Tell], None]) -> T:
    """Runs steps that end by themselves, to their end. What it holds is given back however it ends."""
    result: object = None
    failure: WatertightError | None = None
    try:
        while True:
            try:
                effect = steps.send(result) if failure is None else steps.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            result = failure = None
            if isinstance(effect, Tell):
                tell(effect)
                continue
            try:
                result = outside.perform(effect)
            except WatertightError as error:
                failure = error
    finally:
        steps.close()
        outside.close()
