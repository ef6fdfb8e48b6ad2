"""Publish to and subscribe from a Watertight SSE hub. asyncio here; the same without in `watertight_sse.blocking`.

    async with Publisher("http://127.0.0.1:8080") as publisher:
        await publisher.publish("demo", {"n": 1}, type="tick")

    async for event in subscribe("http://127.0.0.1:8080", "demo"):
        print(event.type, event.data)

Layout: `machine` decides what a subscription does and `outbox` how a publish is retried, both without a socket; they ask
for `effects`, which `asyncio_wire` and `blocking` carry out with httpx. `parser`, `cursor`, `fallback` and `backoff` are the
rules that all clients of Watertight share. `limits` has every limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from .address import bearer
from .asyncio_wire import Token
from .buffer import Receipt
from .errors import (
    Closed,
    ConnectionFailed,
    Dropped,
    EventTooLarge,
    GaveUp,
    InvalidOption,
    NotPublished,
    Problem,
    RedirectFailed,
    Refused,
    RightWithdrawn,
    Stopped,
    StreamEnded,
    TimedOut,
    TokenFailed,
    UnexpectedAnswer,
    WatertightError,
)
from .events import (
    ClosingEvent,
    Connecting,
    Event,
    Gap,
    NewEvent,
    Open,
    Polling,
    ServerStopped,
    Status,
    Waiting,
)
from .options import SubscribeOptions, UrlOptions
from .outbox import Ended
from .plan import Plan, hub_plan, url_plan
from .publisher import Published, Publisher, PublisherStats
from .subscription import Subscription

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Unpack

__version__ = "0.1.0"

__all__ = [
    "Closed",
    "ClosingEvent",
    "Connecting",
    "ConnectionFailed",
    "Dropped",
    "Ended",
    "Event",
    "EventTooLarge",
    "Gap",
    "GaveUp",
    "InvalidOption",
    "NewEvent",
    "NotPublished",
    "Open",
    "Polling",
    "Problem",
    "Published",
    "Publisher",
    "PublisherStats",
    "Receipt",
    "RedirectFailed",
    "Refused",
    "RightWithdrawn",
    "ServerStopped",
    "Status",
    "Stopped",
    "StreamEnded",
    "SubscribeOptions",
    "Subscription",
    "TimedOut",
    "Token",
    "TokenFailed",
    "UnexpectedAnswer",
    "UrlOptions",
    "Waiting",
    "WatertightError",
    "__version__",
    "subscribe",
    "subscribe_url",
]


def subscribe(
    url: str,
    session: str,
    *,
    token: Token = None,
    client: httpx.AsyncClient | None = None,
    **options: Unpack[SubscribeOptions],
) -> Subscription:
    """Subscribes to a session of the hub at `url`, from now on or as the options say (`SubscribeOptions`).

    Args:
        url: The hub's, `http://127.0.0.1:8080`.
        session: Its name.
        token: Sent as `Authorization: Bearer`, or a function that gives it, asked before each attempt.
        client: To connect with, instead of one of its own; it is not closed.
    """
    return _subscription(hub_plan, (url, session), token, client, dict(options))


def subscribe_url(
    url: str,
    *,
    request: UrlOptions | None = None,
    token: Token = None,
    client: httpx.AsyncClient | None = None,
    **options: Unpack[SubscribeOptions],
) -> Subscription:
    """Subscribes to whatever stream of events is at `url`, a hub's or not (`request`: `UrlOptions`)."""
    return _subscription(url_plan, (url,), token, client, {**options, **(request or {})})


def _subscription(
    plan: Callable[..., Plan],
    where: tuple[str, ...],
    token: Token,
    client: httpx.AsyncClient | None,
    options: dict[str, Any],
) -> Subscription:
    if isinstance(token, str):
        bearer(token)
    on_status, on_comment = options.pop("on_status", None), options.pop("on_comment", None)
    settled = plan(
        *where, has_token=token is not None, can_refresh=callable(token), comments=on_comment is not None, **options
    )
    return Subscription(settled, token, client, on_status, on_comment)
