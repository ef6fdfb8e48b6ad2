"""What a subscriber receives: events, and gaps where events are missing. Knows no socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it came."""

    id: str
    """Opaque, and what a later subscription can resume from; empty if the server gives no ids."""
    type: str
    """``message`` if the publisher named none."""
    data: str
    """The text, its lines joined with LF."""
    created_at: float | None = None
    """When the hub accepted it, seconds since 1970. Only long-polls tell it: ``None`` for what came by a stream."""

    def json(self) -> Any:
        """The data, read as JSON.

        Raises:
            ValueError: it is no JSON (``json.JSONDecodeError``).
        """
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in the stream, in the place where it is: what comes after it is newer than what is missing.

    An application that keeps a state built from the events reads that state anew, then goes on.
    """

    id: str
    """The position after the gap. Resuming from it repeats nothing of it."""
    first: str | None
    """The first missing event (``from`` on the wire). With the reasons ``epoch`` and ``unknown_id`` it is the id that was
    asked for, ``None`` if that was none; with ``source`` the gap's own id."""
    last: str | None
    """The last missing event (``to`` on the wire)."""
    missed: int | None
    """How many events are missing; ``None`` if nobody knows."""
    reason: str
    """``expired``, ``evicted``, ``lagged``, ``epoch``, ``unknown_id`` or ``source``; a newer hub may know more. A gap whose
    text could not be read has the reason ``unreadable``: it is a gap all the same, never a quiet skip."""

    @classmethod
    def read(cls, id: str, text: str) -> Gap:
        """The gap that a hub's ``gap`` event with this id and this data is."""
        try:
            return cls.of(id, json.loads(text))
        except (ValueError, RecursionError):
            return cls(id, None, None, None, "unreadable")

    @classmethod
    def of(cls, id: str, value: object) -> Gap:
        """The gap that a JSON value of a hub is."""
        if not isinstance(value, dict):
            return cls(id, None, None, None, "unreadable")
        fields = cast("dict[str, object]", value)
        reason, missed = fields.get("reason"), fields.get("missed")
        first, last = fields.get("from"), fields.get("to")
        return cls(
            id,
            first if isinstance(first, str) else None,
            last if isinstance(last, str) else None,
            missed if isinstance(missed, int) and not isinstance(missed, bool) else None,
            reason if isinstance(reason, str) else "unreadable",
        )
