"""What every attempt of a subscription asks for, and the requests made of it. Knows no socket and no retries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import httpx

from .address import check_headers, origin, parse_url, session_url, with_query
from .cursor import Cursor, is_sendable
from .effects import Request
from .errors import InvalidOption
from .fallback import Way
from .limits import (
    FALLBACK_AFTER,
    FIRST_BYTE_TIMEOUT,
    MAX_EVENT_BYTES,
    POLL_EVENTS_MAX,
    RETRY_DEFAULT,
    RETRY_MAX,
)

# What describes the body or the program may go to an origin that the application did not name. Whether any other header is
# a secret, nobody can know.
_HARMLESS = ("content-type", "user-agent", "accept-language")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settled when the first attempt begins; shared by all attempts."""

    url: httpx.URL
    hub: bool
    """Whether `gap` and `error` are the hub's own words; elsewhere they are events like any other."""
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    has_token: bool = False
    can_refresh: bool = False
    last_event_id: str = ""
    replay: Literal["all"] | int | None = None
    max_event_bytes: int = MAX_EVENT_BYTES
    connect_timeout: float = FIRST_BYTE_TIMEOUT
    read_timeout: float | None = None
    retry_base: float = RETRY_DEFAULT
    retry_max: float = RETRY_MAX
    max_retries: int | None = None
    polling: bool = False
    polling_after: int = FALLBACK_AFTER
    comments: bool = False

    def __post_init__(self) -> None:
        if not is_sendable(self.last_event_id):
            raise InvalidOption("the last event id has characters that no header may carry, or is too long")
        if isinstance(self.replay, int) and self.replay < 0:
            raise InvalidOption('replay must be "all" or a number of events')
        for name in ("max_event_bytes", "connect_timeout", "retry_base", "retry_max"):
            if not getattr(self, name) > 0:
                raise InvalidOption(f"{name} must be above zero")
        if self.read_timeout is not None and not self.read_timeout > 0:
            raise InvalidOption("read_timeout must be above zero")
        if self.max_retries is not None and self.max_retries < 0:
            raise InvalidOption("max_retries must not be below zero")

    def request(self, cursor: Cursor, way: Way, wait: int = 0) -> Request:
        """What to ask for from the cursor's position on; a long-poll is to be held for `wait` seconds."""
        headers = {**self.headers, "cache-control": self.headers.get("cache-control", "no-cache")}
        # A position that the application's URL names must not outrank ours: the header outranks all.
        if cursor.resume:
            headers["last-event-id"] = cursor.resume
        query: dict[str, str | None] = {}
        if way is Way.POLL:
            headers["accept"] = "application/json"
            query = {"after": cursor.resume or None, "wait": str(wait), "limit": str(POLL_EVENTS_MAX)}
        else:
            headers["accept"] = "text/event-stream"
        headers["accept-encoding"] = "identity"
        if self.replay is not None and not cursor.resume:
            query["replay"] = str(self.replay)
        return Request(self.method, with_query(self.url, query), headers, self.body)

    def is_home(self, url: httpx.URL) -> bool:
        """Whether this is the origin that the application named."""
        return origin(url) == origin(self.url)

    def redirected(self, request: Request, status: int, to: httpx.URL) -> Request:
        """What a redirect asks for: as browsers do it, a POST becomes a GET with 301 and 302, and anything with 303 (Fetch
        standard, "HTTP-redirect fetch"). Credentials, and what the application added, go to the origin that it named, and
        nowhere else."""
        headers = dict(request.headers)
        becomes_get = (status in (301, 302) and request.method == "POST") or (
            status == 303 and request.method not in ("GET", "HEAD")
        )
        if becomes_get:
            request = replace(request, method="GET", body=b"")
            headers.pop("content-type", None)
        if not self.is_home(to):
            headers.pop("authorization", None)
            for name in self.headers:
                if name not in _HARMLESS:
                    headers.pop(name, None)
        return replace(request, url=to, headers=headers)


def hub_plan(url: str, session: str, **options: object) -> Plan:
    """For a session of a hub."""
    return _plan(session_url(url, session), {"hub": True, "polling": True, **options})


def url_plan(url: str, **options: object) -> Plan:
    """For whatever stream of events is at `url`."""
    method = str(options.get("method", "GET")).upper()
    hub = bool(options.get("hub"))
    return _plan(parse_url(url), {"polling": hub and method == "GET", "hub": hub, **options, "method": method})


def _plan(url: httpx.URL, options: dict[str, object]) -> Plan:
    given = dict(options)
    headers, body = given.pop("headers", None), given.pop("body", b"")
    if not isinstance(body, bytes | str):
        raise InvalidOption("body must be bytes or text")
    body = body.encode() if isinstance(body, str) else body
    return Plan(url=url, headers=check_headers(headers), body=body, **given)  # type: ignore[arg-type]  # pyright: ignore
