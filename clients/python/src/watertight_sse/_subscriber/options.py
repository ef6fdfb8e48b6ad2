"""What a subscriber is asked for: checked once, before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from watertight_sse._subscriber.cursor import is_sendable
from watertight_sse._subscriber.status import ConnectionStatus
from watertight_sse._token import Token, TokenSource
from watertight_sse._urls import Endpoint, check_url

HeadersSource: TypeAlias = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Headers, or a function that is asked for them before each attempt."""

OnEnd: TypeAlias = Literal["reconnect", "stop"]

_OURS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "last-event-id", "accept-encoding")
)
"""Headers of which only the client can know what they have to be."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""The name of a header or of a method (RFC 9110, section 5.6.2)."""


@dataclass(frozen=True)
class Options:
    """Settled when the subscription is made; the same for all its attempts."""

    url: str
    """The stream itself, a session's already joined."""
    socket: str | None
    """The Unix socket at which the hub is."""
    is_hub: bool
    """Whether ``gap`` and ``error`` are the other side's own words."""
    token: Token
    last_event_id: str
    replay: Literal["all"] | int | None
    headers: HeadersSource
    method: str
    body: bytes | None
    on_end: OnEnd | None
    max_retries: int | None
    retry_base: float
    retry_max: float
    connect_timeout: float
    read_timeout: float | None
    polling: bool
    max_event_bytes: int
    on_state: Callable[[ConnectionStatus], None] | None
    on_comment: Callable[[str], None] | None

    def __repr__(self) -> str:
        # Headers, bodies and parameters may be secret.
        return f"Options({self.method} {self.url.split('?')[0]})"


def make_options(  # noqa: PLR0913 - all that `subscribe` takes
    url: str,
    session: str | None,
    *,
    token: TokenSource | None,
    last_event_id: str | None,
    replay: Literal["all"] | int | None,
    headers: HeadersSource | None,
    method: str,
    body: str | bytes | None,
    on_end: OnEnd | None,
    max_retries: int | None,
    retry_base: float,
    retry_max: float,
    connect_timeout: float,
    read_timeout: float | None,
    polling: bool | None,
    max_event_bytes: int,
    on_state: Callable[[ConnectionStatus], None] | None,
    on_comment: Callable[[str], None] | None,
) -> Options:
    """Checks what can be checked before a request is sent.

    Raises:
        ValueError: something that no request can carry, or that makes no sense. Says which, and shows no secret.
    """
    socket = None
    if session is None:
        url = check_url(url)
    else:
        endpoint = Endpoint.parse(url)
        url, socket = endpoint.events(session), endpoint.socket
    if last_event_id and not is_sendable(last_event_id):
        raise ValueError(
            "last_event_id cannot be sent: it has characters that no header may carry, or is too long"
        )
    if (isinstance(replay, int) and replay < 0) or (isinstance(replay, str) and replay != "all"):
        raise ValueError('replay is "all", a number of events, or None')
    if not _TOKEN.fullmatch(method):
        raise ValueError("method cannot be sent: it has characters that no method may have")
    if on_end not in (None, "reconnect", "stop"):
        raise ValueError('on_end is "reconnect", "stop" or None')
    if max_retries is not None and max_retries < 0:
        raise ValueError("max_retries is zero or more, or None")
    for name, seconds in (("connect_timeout", connect_timeout), ("read_timeout", read_timeout)):
        if seconds is not None and not seconds > 0:
            raise ValueError(f"{name} is a number of seconds above zero")
    if max_event_bytes < 1:
        raise ValueError("max_event_bytes is one or more")
    if headers is not None and not callable(headers):
        check_headers(headers)
    return Options(
        url=url,
        socket=socket,
        is_hub=session is not None,
        token=Token(token),
        last_event_id=last_event_id or "",
        replay=replay,
        headers=headers if headers is not None else {},
        method=method,
        body=body.encode() if isinstance(body, str) else body,
        on_end=on_end,
        max_retries=max_retries,
        retry_base=retry_base,
        retry_max=retry_max,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        polling=(session is not None and method == "GET") if polling is None else polling,
        max_event_bytes=max_event_bytes,
        on_state=on_state,
        on_comment=on_comment,
    )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ValueError for a header that cannot be sent, by its name alone."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("a header cannot be sent: its name has characters that no header may have")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name} is the client's own")
        if value.strip() != value or any(character < " " or character == "\x7f" for character in value):
            raise ValueError(f"the header {name} cannot be sent: it has characters that no header may carry")
