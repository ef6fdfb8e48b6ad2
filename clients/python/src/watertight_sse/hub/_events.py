"""Events: as a publisher hands them in, and as a queue gives them out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast


@dataclass
class SSEEvent:
    """An event to be published.

    ``data`` is text, which is published as it is, or anything that is JSON.
    """

    type: str
    data: Any
    ttl: float | None = None
    """How long it lives, seconds, counted from when it is published; ``None``: as long as ``event_ttl`` says."""
    created_at: float = field(default_factory=time.time)

    def is_expired(self) -> bool:
        """Whether its own ``ttl`` has passed since it was made."""
        return self.ttl is not None and (time.time() - self.created_at) > self.ttl


Publishable: TypeAlias = "SSEEvent | str | Mapping[str, Any]"
"""What can be published: an event, a text, or a mapping. One with a ``type`` and ``data`` (and perhaps a ``ttl``) is an
event; any other is the data of an event of type ``message``."""

Handed: TypeAlias = "tuple[str, str, float | None]"
"""A type, a text and a time to live, as the hub takes them."""

_OF_EVENTS = frozenset({"type", "data", "ttl"})


def handed(event: Publishable) -> Handed:
    """The event as the hub takes it.

    Raises:
        ValueError: it is not clear what it is to be, it is no JSON, or its ``ttl`` is no time.
        TypeError: it is nothing of the kind.
    """
    if isinstance(event, str):
        return ("message", event, None)
    if isinstance(event, SSEEvent):
        return (event.type, text_of(event.data), checked_ttl(event.ttl))
    if not isinstance(cast("object", event), Mapping):
        what = type(event).__name__
        raise TypeError(f"an event is an SSEEvent, a str or a mapping, not {what}")
    if "type" not in event or "data" not in event:
        return ("message", text_of(event), None)
    others = [key for key in event if key not in _OF_EVENTS]
    kind = event["type"]
    if others or not isinstance(kind, str):
        named = ", ".join(repr(key) for key in others) or f"type = {kind!r}"
        raise ValueError(
            f"a mapping with type and data is an event, and has nothing else than a ttl: {named}; "
            "SSEEvent(type=..., data=...) says what is meant"
        )
    return (kind, text_of(event["data"]), checked_ttl(event.get("ttl")))


def text_of(data: object) -> str:
    """The text that this data is published as."""
    if isinstance(data, str):
        return data
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def checked_ttl(ttl: object) -> float | None:
    """A time to live that is one."""
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl > 0:
        raise ValueError(f"ttl = {ttl!r}: more than 0 seconds would do, or None")
    return float(ttl)


class QueueEvent(str):
    """What comes from a queue: text as it is on the wire, to be written to a stream as it stands, with its fields.

    All readers of a session get the same object. Do not change it.
    """

    # Made by native code, which sets the fields by itself: no code may run here for it.

    __slots__ = ("created_at", "data", "id", "type")

    id: str
    """What a later subscription can resume from; empty at the end of a stream, whose last id stays valid."""
    type: str
    data: str
    """The text; its lines end with LF."""
    created_at: float | None
    """When the hub accepted it, seconds since 1970; ``None`` for the hub's own."""

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for part in type(self).__mro__ for name in getattr(part, "__slots__", ())]
        return (_again, (type(self), str(self), {name: getattr(self, name) for name in names}))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, type={self.type!r}, data={self.data!r})"

    def json(self) -> Any:
        """The data, read as JSON.

        Raises:
            ValueError: it is no JSON (``json.JSONDecodeError``).
        """
        return json.loads(self.data)


def _again(kind: type[QueueEvent], wire: str, fields: dict[str, Any]) -> QueueEvent:
    """A copy, or what was pickled."""
    event = kind(wire)
    for name, value in fields.items():
        setattr(event, name, value)
    return event


class QueueGap(QueueEvent):
    """Events are missing here: whatever comes next is newer. Its ``type`` is ``gap``, as on the wire."""

    __slots__ = ("first", "last", "missed", "reason")

    first: str | None
    """The first missing event, as for ``watertight_sse.Gap``."""
    last: str
    """The last missing event."""
    missed: int | None
    """How many are missing; ``None`` if nobody knows."""
    reason: str
    """``expired``, ``evicted``, ``lagged``, ``epoch``, ``unknown_id`` or ``source``."""


class QueueEnd(QueueEvent):
    """The last of a queue that the hub ends: why. Its ``type`` is ``error``, as on the wire."""

    __slots__ = ("can_return", "code", "message")

    code: str
    """``SESSION_ENDED``, ``SHUTTING_DOWN``, ``SLOW_CONSUMER``..."""
    message: str
    can_return: bool
    """Whether it makes sense to subscribe again, with the last id."""
