"""What a publisher is told before it begins, checked. And what it sends and reads, the same with and without asyncio."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

import httpx

from watertight_sse import _http
from watertight_sse._errors import RequestError, UnexpectedAnswerError, WatertightError
from watertight_sse._log import logger
from watertight_sse._publisher import _limits
from watertight_sse._publisher._entry import JSON, TEXT, Alone, Answer, Entry, Owner, Request, SessionEnd
from watertight_sse._publisher._events import (
    NewEvent,
    checked_key,
    checked_ttl,
    checked_type,
    json_text,
    line,
    utf8,
)
from watertight_sse._publisher._outbox import Outbox
from watertight_sse._urls import Endpoint

WhenFull: TypeAlias = Literal["wait", "drop"]
"""What becomes of an event for which there is no room: its publisher waits, or it is dropped and counted."""
OnRetry: TypeAlias = Callable[[WatertightError, float], object]
"""Told of each failed attempt that is followed by a wait, and of its seconds."""
OnError: TypeAlias = Callable[[Exception, str], object]
"""Told of each event of ``enqueue`` that was not published: why, and its session."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a publisher."""

    endpoint: Endpoint
    buffer_events: int
    buffer_bytes: int
    when_full: WhenFull
    batch_events: int
    in_flight_max: int
    request_timeout: float
    give_up_after: float | None
    close_timeout: float | None
    on_retry: OnRetry | None
    on_error: OnError | None

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a setting that cannot be used; the text names it, its value and what would do.
        """
        for name in ("buffer_events", "buffer_bytes", "in_flight_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: 1 or more would do")
        if not 1 <= self.batch_events <= _limits.BATCH_EVENTS_MAX:
            raise ValueError(
                f"batch_events is {self.batch_events!r}: 1 to {_limits.BATCH_EVENTS_MAX} would do"
            )
        if not self.request_timeout > 0:
            raise ValueError(
                f"request_timeout is {self.request_timeout!r}: a number of seconds above zero would do"
            )
        for name in ("give_up_after", "close_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds >= 0:
                raise ValueError(
                    f"{name} is {seconds!r}: a number of seconds, or None for no limit, would do"
                )
        if self.when_full not in ("wait", "drop"):
            raise ValueError(f'when_full is {self.when_full!r}: "wait" or "drop" would do')

    def outbox(self) -> Outbox:
        """An empty buffer with these limits."""
        return Outbox(
            buffer_events=self.buffer_events,
            buffer_bytes=self.buffer_bytes,
            batch_events=self.batch_events,
            batch_bytes=_limits.BATCH_BYTES,
        )

    def pool(self) -> httpx.Limits:
        """As many connections as there are requests under way."""
        return _http.limits(self.in_flight_max, self.in_flight_max)


class _Forks:
    """How often this process is the child of a fork. To ask the system for each event would cost more than the event."""

    count = 0

    @classmethod
    def add(cls) -> None:
        cls.count += 1


os.register_at_fork(after_in_child=_Forks.add)


class Wire:
    """Entries from arguments, requests from entries, ids from answers."""

    def __init__(self, endpoint: Endpoint) -> None:
        """For the hub at ``endpoint``."""
        self._endpoint = endpoint
        self._forks = _Forks.count
        # A name is checked with each event; the URL of a session in use is made once.
        self._checked_session = lru_cache(maxsize=1024)(endpoint.events)

    def check(self, session: str) -> None:
        """Raises:
        ValueError: a session name that no path can carry.
        RuntimeError: this is another process than the one that made the publisher: they would share connections and keys.
        """
        if self._forks != _Forks.count:
            raise RuntimeError("this publisher was made before a fork: make one in each process")
        self._checked_session(session)

    def event(  # noqa: PLR0913, PLR0917 - as the call of the publisher has them
        self, owner: Owner, session: str, data: Any, type: str | None, ttl: float | None, key: str | None
    ) -> Entry:
        """An event whose data is any JSON."""
        self.check(session)
        body = line(data, type, ttl)
        if key is None:
            return Entry(session, body, owner)
        return Entry(session, body, owner, Alone(JSON, {}, checked_key(key)))

    def text(  # noqa: PLR0913, PLR0917 - as the call of the publisher has them
        self, owner: Owner, session: str, text: str, type: str | None, ttl: float | None, key: str | None
    ) -> Entry:
        """An event whose data is a text as it stands."""
        self.check(session)
        query = {
            "type": None if type is None else checked_type(type),
            "ttl": None if ttl is None else repr(checked_ttl(ttl)),
        }
        return Entry(
            session, utf8(text), owner, Alone(TEXT, query, None if key is None else checked_key(key))
        )

    def end(self, owner: Owner, session: str, event: NewEvent | None, keep: float | None) -> Entry:
        """The end of a session."""
        self.check(session)
        members: list[str] = []
        if event is not None:
            members.append(f'"event":{line(event.data, event.type, event.ttl).decode()}')
        if keep is not None:
            if isinstance(keep, bool) or not 0 < keep <= 30 * 86_400:
                raise ValueError(
                    f"keep is {keep!r}: a number of seconds above zero, 30 days at most, would do"
                )
            members.append(f'"keep":{json_text(float(keep))}')
        body = utf8(f"{{{','.join(members)}}}")
        return Entry(session, body, owner, Alone(JSON, {}, is_end=True))

    def url(self, request: Request) -> str:
        """Where the request goes."""
        if request.is_end:
            return self._endpoint.end(request.session)
        if request.query:
            return self._endpoint.events(request.session, request.query)
        return self._checked_session(request.session)

    @staticmethod
    def headers(request: Request, bearer: str | None) -> dict[str, str]:
        """The request's header."""
        headers = {
            "content-type": request.content_type,
            "accept": "application/json, application/problem+json",
            "idempotency-key": request.key,
        }
        if bearer is not None:
            headers["authorization"] = bearer
        return headers


class BatchRefusedError(Exception):
    """A refusal, and the number of the event in the batch that it is about. Never leaves the publisher."""

    def __init__(self, error: RequestError, index: int | None) -> None:
        """``index`` is ``None`` if the hub named no event."""
        super().__init__()
        self.error = error
        self.index = index


def read_answer(request: Request, status: int, headers: httpx.Headers, body: bytes) -> Sequence[Answer]:
    """What the hub answers for each entry.

    Raises:
        BatchRefusedError: it refused.
    """
    if not httpx.codes.is_success(status):
        told = _http.problem_of(body).get("index")
        index = told if isinstance(told, int) and not isinstance(told, bool) else None
        raise BatchRefusedError(_http.refusal(status, headers, body), index)
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    answers = _end(fields) if request.is_end else _ids(fields)
    if answers is None:
        what = "the end of the session" if request.is_end else "the ids of the events"
        raise BatchRefusedError(UnexpectedAnswerError(f"status {status} without {what}", status), None)
    return answers


def _ids(fields: dict[str, object]) -> Sequence[Answer] | None:
    one, many = fields.get("id"), fields.get("ids")
    if isinstance(one, str):
        return [one]
    if isinstance(many, list):
        ids = cast("list[object]", many)
        if all(isinstance(id, str) for id in ids):
            return cast("list[str]", ids)
    return None


def _end(fields: dict[str, object]) -> Sequence[Answer] | None:
    session, last = fields.get("session"), fields.get("last")
    ended_at, keep = fields.get("endedAt"), fields.get("keep")
    if not (isinstance(session, str) and isinstance(last, str)):
        return None
    if not (isinstance(ended_at, (int, float)) and isinstance(keep, (int, float))):
        return None
    return [SessionEnd(session, last, float(ended_at), float(keep))]


def lost(error: httpx.TransportError | OSError) -> tuple[RequestError, bool]:
    """The error for a request that got no answer, and whether a kept connection may just have been closed."""
    may_be_stale = isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError))
    return _http.no_answer(error), may_be_stale


def cause_of(error: BaseException) -> Exception:
    """What those are told who wait for a request that came to no end: the hub may have taken it. A cancellation of the task
    that sent it, or an exit, is none of theirs.
    """
    if isinstance(error, Exception):
        return error
    return RequestError(f"ended before the answer: {type(error).__name__}")


def observe_retry(on_retry: OnRetry | None, failure: WatertightError, delay: float) -> None:
    """Tells the application of a failed attempt."""
    if on_retry is None:
        return
    try:
        on_retry(failure, delay)
    except Exception:  # the application's fault; the publisher goes on
        logger.exception("on_retry failed")


def tell_errors(on_error: OnError | None, untold: Sequence[tuple[Exception, str]]) -> None:
    """Tells the application of events that were not published."""
    for error, session in untold:
        if on_error is None:
            logger.error("an event for %r was not published: %s", session, error)
            continue
        try:
            on_error(error, session)
        except Exception:  # the application's fault; the publisher goes on
            logger.exception("on_error failed")
