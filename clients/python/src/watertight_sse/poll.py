"""A hub's answer to a long-poll. Knows no connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from .cursor import Cursor
from .errors import EventTooLarge
from .events import ClosingEvent, Event, Gap
from .limits import POLL_BODY_FACTOR, POLL_DATA_BYTES


def body_bytes_max(max_event_bytes: int) -> int:
    """The longest body to read if events may be of this size, bytes."""
    return max(max_event_bytes, POLL_DATA_BYTES) * POLL_BODY_FACTOR


class Answer:
    """What came, and what of it was delivered."""

    def __init__(self, gap: Gap | None, events: list[Event], next: str, end: ClosingEvent | None) -> None:
        self._gap, self._events, self._next, self._end = gap, events, next, end
        self.is_fruitful = False
        """Whether something of it was delivered that had not been before."""
        self.has_ended = False
        """Whether the hub ended the session with it."""

    @staticmethod
    def parse(body: bytes) -> Answer | None:
        """Reads it; nothing if it is not what a hub answers."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        fields = cast("dict[str, object]", value)
        listed, next, gap, end = (fields.get(name) for name in ("events", "next", "gap", "end"))
        if not isinstance(listed, list) or not isinstance(next, str):
            return None
        read_gap = Gap.of(gap)
        if gap is not None and read_gap is None:
            return None
        events = [_event(one) for one in cast("list[object]", listed)]
        if any(event is None for event in events):
            return None
        closing = None if end is None else ClosingEvent.of(end, "the hub ends the session")
        return Answer(read_gap, [event for event in events if event is not None], next, closing)

    def items(self, cursor: Cursor, limit: int) -> Iterator[Event | Gap | ClosingEvent]:
        """All of it, in order; the cursor takes each position over before its item comes.

        Raises `EventTooLarge`, as over a stream.
        """
        if self._gap is not None and cursor.is_news(self._gap):
            if self._gap.last is None:
                cursor.forget_delivered()
            elif cursor.jump(self._gap.last):
                self.is_fruitful = True
            yield self._gap
        for event in self._events:
            if len(event.id.encode()) + len(event.type.encode()) + len(event.data.encode()) > limit:
                raise EventTooLarge(limit)
            if not cursor.is_duplicate(event.id):
                cursor.event(event.id)
                self.is_fruitful = True
                yield event
        cursor.pass_by(self._next)
        if self._end is not None:
            self.has_ended = True
            yield self._end


def _event(value: object) -> Event | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    id, type, data = (fields.get(name) for name in ("id", "type", "data"))
    if not isinstance(id, str) or not isinstance(type, str) or not isinstance(data, str):
        return None
    # Half a surrogate pair, written as an escape, is no text: as over a stream, it counts as U+FFFD.
    return Event(*(part.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for part in (type, data, id)))
