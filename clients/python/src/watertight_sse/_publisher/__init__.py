"""Publishing: requests over kept connections, each retried until the hub has said yes or no. Knows nothing of how events are
delivered.

=============  ==================================================================================
``_outbox``    what waits, what is queued for each session, what is sent next; no IO
``_exchange``  what follows from a failed attempt; no IO
``_owners``    who is told what became of an event
``_async``     the shell for asyncio
``_sync``      the shell without asyncio, on threads
=============  ==================================================================================
"""

from __future__ import annotations

from watertight_sse._publisher._async import Publisher
from watertight_sse._publisher._entry import SessionEnd
from watertight_sse._publisher._errors import BufferFullError, PublisherClosedError, StoppedError, UnsentError
from watertight_sse._publisher._events import NewEvent

__all__ = [
    "BufferFullError",
    "NewEvent",
    "Publisher",
    "PublisherClosedError",
    "SessionEnd",
    "StoppedError",
    "UnsentError",
]
