"""The hub in this process.

``async with broadcaster.subscribe(session_id) as queue`` reads a session, ``await broadcaster.broadcast(session_id, event)``
publishes to it, and ``serve(port=...)`` opens the hub's own accept loop: subscribers of that cost what they cost in the
program ``watertight``, and never touch the interpreter's lock. All three are one hub with one log for each session: bounded
in memory, with resume by id, and a gap wherever events are missing.
"""

from __future__ import annotations

from watertight_sse.hub._broadcaster import Broadcaster, Replay, Subscribing, get_sse_broadcaster, serve
from watertight_sse.hub._config import BroadcasterConfig
from watertight_sse.hub._errors import HubError, QueueClosedError, QueueTimeoutError
from watertight_sse.hub._events import Publishable, QueueEnd, QueueEvent, QueueGap, SSEEvent
from watertight_sse.hub._queue import PlainQueue, Queue
from watertight_sse.hub._server import Server, Setting
from watertight_sse.hub._stats import Counts, Metrics, Stats

__all__ = [
    "Broadcaster",
    "BroadcasterConfig",
    "Counts",
    "HubError",
    "Metrics",
    "PlainQueue",
    "Publishable",
    "Queue",
    "QueueClosedError",
    "QueueEnd",
    "QueueEvent",
    "QueueGap",
    "QueueTimeoutError",
    "Replay",
    "SSEEvent",
    "Server",
    "Setting",
    "Stats",
    "Subscribing",
    "get_sse_broadcaster",
    "serve",
]
