"""What is published, and what a subscriber sees. Knows no connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it came."""

    type: str
    """`message` if the publisher named none."""
    data: str
    """The text, its lines joined with LF."""
    id: str = ""
    """The hub's id. Opaque; remember it to resume here."""

    def json(self) -> Any:
        """The data, read as JSON. Raises `ValueError` if it is none."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in the stream, as the hub words it: events are missing here. Everything after it is newer."""

    reason: str
    """`expired`, `evicted`, `lagged`, `epoch`, `unknown_id` or `source`; `unreadable` if it cannot be read."""
    first: str | None = None
    """`from` on the wire: the first missing event; with `epoch` and `unknown_id` the id that was asked for, or none."""
    last: str | None = None
    """`to` on the wire: the last missing event, or the position before what follows."""
    missed: int | None = None
    """How many events are missing, if the hub can tell."""

    @property
    def type(self) -> Literal["gap"]:
        return "gap"

    @staticmethod
    def of(value: object) -> Gap | None:
        """From a JSON object; nothing if it is not one of a gap."""
        if not isinstance(value, dict):
            return None
        fields = cast("dict[str, object]", value)
        reason, first, last = fields.get("reason"), fields.get("from"), fields.get("to")
        missed = fields.get("missed")
        if not isinstance(reason, str) or not isinstance(first, str | None) or not isinstance(last, str | None):
            return None
        if isinstance(missed, bool) or not isinstance(missed, int | None) or (missed is not None and missed < 0):
            return None
        return Gap(reason, first, last, missed)

    @staticmethod
    def read(data: str) -> Gap:
        """From the data of an event. What cannot be read is still a gap: never a quiet skip."""
        try:
            gap = Gap.of(json.loads(data))
        except (ValueError, RecursionError):
            gap = None
        return gap or Gap("unreadable")


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection is being made: which attempt it is since the last connection over which something came, from 1."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Open:
    """The stream is open."""


@dataclass(frozen=True, slots=True)
class Polling:
    """No stream comes through: the hub is asked for events by long-poll, from the same position on. The stream is tried
    again now and then."""


@dataclass(frozen=True, slots=True)
class ClosingEvent:
    """The hub says that it closes the stream, and why. The end follows, and then a new attempt; after `SESSION_ENDED` the
    subscription is over, after `TOKEN_REVOKED` and `FORBIDDEN` it raises `RightWithdrawn`."""

    code: str
    message: str

    @staticmethod
    def of(value: object, text: str) -> ClosingEvent:
        """From a JSON object; `text` where it gives no message."""
        fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        code, message = fields.get("code"), fields.get("error")
        return ClosingEvent(code if isinstance(code, str) else "", message if isinstance(message, str) and message else text)

    @staticmethod
    def read(data: str) -> ClosingEvent:
        """From the data of an `error` event."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        return ClosingEvent.of(value, data)


@dataclass(frozen=True, slots=True)
class Waiting:
    """No connection; the next attempt comes after `delay` seconds. `reason` is why the last one ended."""

    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class ServerStopped:
    """The server answered 204: there is nothing more to come, ever. The subscription is over."""


Status: TypeAlias = Connecting | Open | Polling | ClosingEvent | Waiting | ServerStopped
"""What becomes of a subscription's connection. Nothing is lost by ignoring it."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to publish. `data` is anything that has a JSON form, and is carried as its JSON text."""

    data: Any
    type: str | None = None
    ttl: float | None = None
    """For how many seconds it may be replayed. The hub refuses zero."""
