"""Every limit and time of a publisher, with its unit and reason. Knows no socket."""

from __future__ import annotations

BUFFER_EVENTS = 10_000
"""Events that a publisher holds at most: an outage of 30 s at 300 events/s."""

BUFFER_BYTES = 8 * 1024 * 1024
"""JSON that it holds at most, bytes. Each event costs the interpreter about 300 bytes besides."""

BATCH_EVENTS = 500
"""Events in one request at most. A hub takes 1,000 where nobody said less, and holds the answer back until its readers are
within half of that."""

BATCH_EVENTS_MAX = 1_000
"""More events than this no hub takes by default (``max_batch_events``)."""

BATCH_BYTES = 1024 * 1024
"""JSON in one request at most, bytes, unless one event alone has more: a hub takes 8 MiB, and each request under way holds
its body."""

IN_FLIGHT_MAX = 8
"""Requests under way at once, all to different sessions, and the connections kept: as in the other clients."""

REQUEST_TIMEOUT = 60.0
"""One request must be answered within this time, seconds. Generous: a hub holds back its answer from who outruns its
readers."""

GIVE_UP_AFTER = 120.0
"""How long one request goes on being retried, seconds."""

CLOSE_TIMEOUT = 45.0
"""How long closing waits for what is still to be sent, seconds: an outage of 30 s that begins with it, the longest wait of the
back-off (``RETRY_MAX``), and the request."""

TOKEN_TIMEOUT = 30.0
"""A function that gives tokens must have given one within this time, seconds."""

RESUME_AFTER = 0.05
"""After a task of a publisher was cancelled by somebody else, the next one begins so much later, seconds: an event loop that
ends cancels all its tasks, and nothing must begin in it."""

RETRY_BASE = 0.2
"""Base of the back-off, seconds: nobody tells a publisher a ``retry:``, and a hub restarts in well under a second."""

RETRY_MAX = 10.0
"""Ceiling of the back-off, seconds."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Longest answer read, bytes: room for 100,000 ids."""

TYPE_BYTES_MAX = 256
"""Longest type of an event, bytes."""

KEY_LENGTH_MAX = 255
"""Longest ``Idempotency-Key``, characters."""

WINDOW_BATCHES = 2
"""Batches that one ``publish_many`` holds: one under way, one that gathers meanwhile."""

IDLE = 0.05
"""How long a thread of a plain publisher waits for more to do before it ends, seconds."""
