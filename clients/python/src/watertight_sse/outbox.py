"""What is published, as requests, and how one request is sent until it is answered. Knows no socket and no buffer."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httpx

from .address import bearer
from .answers import collect, refusal
from .backoff import Backoff
from .effects import AskToken, Close, Head, Request, Send, Sleep, Steps, Tell
from .errors import GaveUp, InvalidOption, Refused, UnexpectedAnswer, WatertightError
from .events import NewEvent, Waiting
from .limits import (
    ANSWER_BODY_BYTES,
    GIVE_UP_AFTER,
    PUBLISH_RETRY_BASE,
    PUBLISH_RETRY_MAX,
    REQUEST_TIMEOUT,
    TOKEN_TIMEOUT,
)

NDJSON = "application/x-ndjson"
JSON = "application/json"

_KEY = re.compile(r"[!-~]{1,255}")


class Keys:
    """Idempotency keys: 128 random bits of the publisher, and a count. No two requests share one."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(16)
        self._count = 0

    def next_key(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"


def check_key(key: str | None) -> str | None:
    """A key of the application's own."""
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidOption("key must be 1 to 255 visible ASCII characters")
    return key


def encode(event: NewEvent) -> bytes:
    """One line of NDJSON, without its end."""
    fields: dict[str, object] = {"data": event.data}
    if event.type is not None:
        fields["type"] = event.type
    if event.ttl is not None:
        fields["ttl"] = event.ttl
    return encode_json(fields)


def encode_json(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOption(f"the data cannot be written as JSON: {error}") from None


@dataclass(frozen=True)
class Settings:
    """What all requests of one publisher have in common. Times are seconds."""

    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    has_token: bool = False
    can_refresh: bool = False
    request_timeout: float = REQUEST_TIMEOUT
    give_up_after: float = GIVE_UP_AFTER


@dataclass(frozen=True)
class Keyed:
    """What is sent, the same with each attempt. The key makes the hub take it once."""

    url: httpx.URL
    content_type: str
    key: str
    body: bytes = field(repr=False)


def deliver(
    keyed: Keyed, settings: Settings, clock: Callable[[], float], random: Callable[[], float]
) -> Steps[dict[str, object]]:
    """Sends until the hub has taken it or refused it, or until it has taken too long; gives the hub's answer."""
    started = clock()
    backoff = Backoff(PUBLISH_RETRY_BASE, PUBLISH_RETRY_MAX, random)
    refresh = was_refreshed = False
    while True:
        try:
            return (yield from _attempt(keyed, settings, clock, refresh=refresh))
        except WatertightError as error:
            yield Close()
            refresh = False
            # One new token, and then that is that.
            is_unauthorized = isinstance(error, Refused) and error.status == 401
            if is_unauthorized and settings.can_refresh and not was_refreshed:
                refresh = was_refreshed = True
                continue
            if not error.is_retryable:
                raise
            failure = error
        delay = backoff.next_delay(failure.retry_after)
        elapsed = clock() - started
        if elapsed + delay > settings.give_up_after:
            raise GaveUp(backoff.failures, elapsed, failure) from failure
        yield Tell(Waiting(delay, str(failure)), "")
        yield Sleep(delay)


def _attempt(keyed: Keyed, settings: Settings, clock: Callable[[], float], *, refresh: bool) -> Steps[dict[str, object]]:
    headers = {
        **settings.headers,
        "content-type": keyed.content_type,
        "accept": "application/json, application/problem+json",
        "idempotency-key": keyed.key,
    }
    if settings.has_token:
        token: str = yield AskToken(refresh, TOKEN_TIMEOUT)
        headers["authorization"] = bearer(token)
    limit, phase = settings.request_timeout, "the answer to a publish"
    deadline = clock() + limit
    head: Head = yield Send(Request("POST", keyed.url, headers, keyed.body), limit, phase)
    if not 200 <= head.status < 300:
        raise (yield from refusal(head, clock))
    body = yield from collect(ANSWER_BODY_BYTES, deadline, phase, clock)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(f"unexpected answer: status {head.status} without what a hub says")
    return cast("dict[str, object]", answer)


def read_ids(answer: dict[str, object], count: int) -> list[str]:
    """One id for each event."""
    ids = answer.get("ids")
    found = [id for id in cast("list[object]", ids) if isinstance(id, str)] if isinstance(ids, list) else []
    if len(found) != count:
        raise UnexpectedAnswer("unexpected answer: not one id for each event")
    return found


def is_about_events(error: WatertightError) -> bool:
    """Whether a refusal is about what is in the request, so that the rest of it may still be taken: of a refused batch
    nothing is. Any other says nothing about earlier attempts, whose answers may be lost."""
    return isinstance(error, Refused) and (error.status in (400, 413, 422) or error.code == "RESERVED_EVENT_TYPE")


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer to the end of a session. Of a session that had ended before, it is that of the first end."""

    last: str | None
    """The id of the session's last event."""
    keep: float
    """For how many seconds the history is kept after the end."""

    @staticmethod
    def of(answer: dict[str, object]) -> Ended:
        last, keep = answer.get("last"), answer.get("keep")
        if not isinstance(last, str | None) or isinstance(keep, bool) or not isinstance(keep, int | float):
            raise UnexpectedAnswer("unexpected answer: not what a hub says of an end")
        return Ended(last, float(keep))


def encode_end(event: NewEvent | None, keep: float | None) -> bytes:
    """The body of the request that ends a session."""
    fields: dict[str, object] = {}
    if event is not None:
        fields["event"] = json.loads(encode(event))
    if keep is not None:
        fields["keep"] = keep
    return encode_json(fields)
