"""Publish to and subscribe from a Watertight hub.

================================  =====================================================================
``watertight_sse``                asyncio: ``subscribe``, ``Publisher``, events, gaps, errors
``watertight_sse.sync``           the same without asyncio
``watertight_sse.tokens``         mints the tokens with which pages and programs watch and publish
``watertight_sse.starlette``      where a page watches, with which token, from which id; ``relay``
``watertight_sse.fastapi``        the same as FastAPI dependencies and routes
``watertight_sse.hub``            the hub in this process
================================  =====================================================================
"""

from watertight_sse._errors import (
    EventTooLargeError,
    GaveUpError,
    RequestError,
    StreamClosedError,
    TokenError,
    UnexpectedAnswerError,
    WatertightError,
)
from watertight_sse._event import Event, Gap
from watertight_sse._publisher import (
    BufferFullError,
    NewEvent,
    Publisher,
    PublisherClosedError,
    SessionEnd,
    StoppedError,
    UnsentError,
)
from watertight_sse._subscriber.aio import Subscription, subscribe
from watertight_sse._subscriber.status import CloseReason, ConnectionState, ConnectionStatus
from watertight_sse._token import TokenSource

__all__ = [
    "BufferFullError",
    "CloseReason",
    "ConnectionState",
    "ConnectionStatus",
    "Event",
    "EventTooLargeError",
    "Gap",
    "GaveUpError",
    "NewEvent",
    "Publisher",
    "PublisherClosedError",
    "RequestError",
    "SessionEnd",
    "StoppedError",
    "StreamClosedError",
    "Subscription",
    "TokenError",
    "TokenSource",
    "UnexpectedAnswerError",
    "UnsentError",
    "WatertightError",
    "subscribe",
]
