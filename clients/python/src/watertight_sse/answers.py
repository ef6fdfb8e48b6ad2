"""What the head and the body of an answer mean. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import cast

from .effects import Close, Head, Read, Steps
from .errors import Problem, Refused, TimedOut, UnexpectedAnswer, WatertightError
from .limits import (
    CONNECT_TIMEOUT,
    ERROR_BODY_BYTES,
    HEARTBEAT_DEFAULT,
    READ_TIMEOUT_MAX,
    READ_TIMEOUT_MIN,
    SILENT_HEARTBEATS,
)


def media_type(head: Head) -> tuple[str, str]:
    """The media type and its parameters, in lower case."""
    found, _, parameters = head.headers.get("content-type", "").lower().partition(";")
    return found.strip(), parameters


def is_event_stream(head: Head) -> bool:
    """Whether the answer is a stream of events, and in the one encoding that such a stream may have."""
    found, parameters = media_type(head)
    charsets = [
        part.strip().removeprefix("charset=").strip('"')
        for part in parameters.split(";")
        if part.strip().startswith("charset=")
    ]
    return found == "text/event-stream" and all(charset in ("utf-8", "utf8") for charset in charsets[:1])


def silence_max(head: Head) -> float:
    """How long this hub may be silent before it is taken for dead, seconds."""
    told = head.headers.get("heartbeat-interval", "").strip()
    # More digits than any interval has count as very long, and are not read.
    heartbeat = HEARTBEAT_DEFAULT
    if told.isascii() and told.isdigit():
        heartbeat = float(told) if len(told) < 10 else READ_TIMEOUT_MAX
    return min(max(heartbeat * SILENT_HEARTBEATS, READ_TIMEOUT_MIN), READ_TIMEOUT_MAX)


def retry_after(head: Head, wall: float | None = None) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3). A date is compared with the answer's own `Date`: the server's clock is
    then compared with itself, however wrong ours is."""
    told = head.headers.get("retry-after", "").strip()
    if not told:
        return None
    if told.isascii() and told.isdigit():
        # More than a number can say is longer than anybody waits.
        return float(told) if len(told) < 16 else float("inf")
    then = _date(told)
    if then is None:
        return None
    now = _date(head.headers.get("date", ""))
    if now is None:
        now = time.time() if wall is None else wall
    return max(then - now, 0.0)


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def problem(head: Head, body: bytes) -> WatertightError:
    """What an answer means that is neither a success nor a redirect. A body that is no problem document counts as none:
    never an error about an error."""
    if head.status < 400:
        hint = " (not followed here)" if 300 <= head.status < 400 else ""
        return UnexpectedAnswer(f"unexpected answer: status {head.status}{hint}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}

    def text(name: str) -> str | None:
        found = fields.get(name)
        return found if isinstance(found, str) else None

    return Refused(Problem(head.status, text("code"), text("title"), text("detail"), retry_after(head)))


def refusal(head: Head, clock: Callable[[], float]) -> Steps[WatertightError]:
    """Turns a refusal into its error, reading as much of its body as a problem document needs, and closes it."""
    try:
        body = yield from collect(ERROR_BODY_BYTES, clock() + CONNECT_TIMEOUT, "the body of a refusal", clock)
    except WatertightError:
        # The status alone says enough.
        body = b""
        yield Close()
    return problem(head, body)


def collect(limit: int, deadline: float, phase: str, clock: Callable[[], float]) -> Steps[bytes]:
    """A whole body of at most `limit` bytes, and closes it."""
    begun = clock()
    whole = bytearray()
    while True:
        remaining = deadline - clock()
        if remaining <= 0:
            raise TimedOut(phase, deadline - begun)
        chunk: bytes | None = yield Read(remaining, phase, deadline - begun)
        if chunk is None:
            yield Close()
            return bytes(whole)
        if len(whole) + len(chunk) > limit:
            raise UnexpectedAnswer(f"unexpected answer: a body of more than {limit} bytes")
        whole += chunk
