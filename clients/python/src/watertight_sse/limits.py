"""Every limit and time of the client, with its unit and reason. Times are seconds. Knows no socket."""

from __future__ import annotations

from typing import Final

CONNECT_TIMEOUT: Final = 10.0
"""A connection must be up within this time, TLS included; so must the body of a refusal."""

FIRST_BYTE_TIMEOUT: Final = 30.0
"""The first byte of a stream must arrive within this time, redirects and head included. Two heartbeats: a proxy that lets
the head pass and keeps the rest is found out."""

TOKEN_TIMEOUT: Final = 30.0
"""A function that gives tokens must have given one within this time (asyncio only: nobody can interrupt a blocking one)."""

REDIRECTS_MAX: Final = 10
"""Redirects followed in a row. A browser follows 20; more than a few are a loop."""

FALLBACK_AFTER: Final = 3
"""So many attempts in a row without a byte of a stream, and long-poll is tried."""

PROBE_INTERVAL_MIN: Final = 15.0
"""While polling, the stream is tried again after this time, ..."""

PROBE_INTERVAL_MAX: Final = 300.0
"""... which doubles up to this one."""

POLL_AGAIN_MIN: Final = 15.0
"""Where whoever answers knows no long-poll, another one is tried after this time, ..."""

POLL_AGAIN_MAX: Final = 300.0
"""... which doubles up to this one."""

POLL_WAIT: Final = 25
"""How long a hub is asked to hold a long-poll: its default, and below what proxies wait."""

POLL_GRACE: Final = 15.0
"""A long-poll must be answered this long after its wait is over."""

POLL_EVENTS_MAX: Final = 100
"""Events asked for in one long-poll."""

POLL_PAUSE: Final = 1.0
"""Between two long-polls of which the first was answered at once, with nothing: never a tight loop."""

POLL_DATA_BYTES: Final = 1024 * 1024
"""Data that a hub puts into one answer to a long-poll, bytes, however small its events are."""

POLL_BODY_FACTOR: Final = 8
"""A long-poll's answer may be this many times as long as the largest event taken: JSON writes a byte of text in at most
six, and beside the data there is little."""

RETRY_MIN: Final = 0.1
"""Retries wait at least this long, whatever the hub says: never a tight loop."""

RETRY_MAX: Final = 60.0
"""Ceiling of the back-off; a `retry:` above it counts as this."""

RETRY_CEILING_MAX: Final = 365 * 24 * 3600.0
"""No ceiling of the back-off lies above this."""

RETRY_DEFAULT: Final = 1.0
"""Base of the back-off before the hub has sent a `retry:`."""

RETRY_AFTER_MAX: Final = 300.0
"""A `Retry-After` above this counts as this, so that a typing error cannot park a client for a year."""

SILENT_HEARTBEATS: Final = 3
"""A stream without a byte for this many heartbeats is dead."""

HEARTBEAT_DEFAULT: Final = 15.0
"""Heartbeat interval assumed where the head does not name one."""

READ_TIMEOUT_MIN: Final = 15.0
"""Silence shorter than this never counts as death, however fast the heartbeat."""

READ_TIMEOUT_MAX: Final = 600.0
"""Silence longer than this always does, whatever the head claims."""

HEALTHY_AFTER: Final = 30.0
"""A connection over which bytes came for so long was healthy, even if no event came: the back-off starts anew."""

MAX_EVENT_BYTES: Final = 1024 * 1024
"""Largest event a subscriber takes, bytes: the hub's default of 256 KiB with room for a raised one."""

COMMENT_BYTES_MAX: Final = 1024
"""What is kept of a comment, bytes."""

ERROR_BODY_BYTES: Final = 16 * 1024
"""Longest error body read, bytes; a problem document is a few hundred."""

ANSWER_BODY_BYTES: Final = 4 * 1024 * 1024
"""Longest answer to a publish read, bytes: room for 100,000 ids."""

LAST_EVENT_ID_BYTES: Final = 1024
"""Longest `Last-Event-ID` sent, bytes. A longer id came from something that is no hub of ours."""

QUEUE_EVENTS_MAX: Final = 100
"""Events that were read and not taken by the loop over a subscription yet (asyncio): beyond, nothing more is read."""

QUEUE_BYTES_MAX: Final = 1024 * 1024
"""Their text in characters, beyond which nothing more is read."""

REQUEST_TIMEOUT: Final = 60.0
"""One publishing request must be answered within this time. Generous, because the hub holds back its 202 from a publisher
that outruns delivery."""

GIVE_UP_AFTER: Final = 120.0
"""How long one publish goes on retrying before it gives up."""

PUBLISH_RETRY_BASE: Final = 0.2
"""Base of a publisher's back-off: nobody tells it a `retry:`, and a hub restart takes well under a second."""

PUBLISH_RETRY_MAX: Final = 10.0
"""Ceiling of a publisher's back-off."""

IN_FLIGHT_MAX: Final = 8
"""Requests of a publisher that are under way at once, all to different sessions, and the connections it keeps."""

BATCH_EVENTS_MAX: Final = 500
"""Events in one request; a hub takes 1,000 where nobody said less."""

BATCH_BYTES_MAX: Final = 256 * 1024
"""JSON in one request, bytes, unless one event alone has more."""

BUFFER_EVENTS_MAX: Final = 10_000
"""Events that a publisher holds, those under way included: half a minute at 300 events a second."""

BUFFER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Their JSON, bytes."""
