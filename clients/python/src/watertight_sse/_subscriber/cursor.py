"""Where a subscription stands: the id to resume from, whichever way events come.

It belongs to the subscription and outlives every connection, every token and every change between stream
and long-poll.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from watertight_sse._event import Gap
from watertight_sse._subscriber.limits import LAST_EVENT_ID_BYTES

_HUB_ID = re.compile(r"([0-9a-hjkmnp-tv-z]{12})-(0|[1-9][0-9]{0,15})", re.ASCII)
"""An id as the hub makes it: an epoch and a sequence. Anything else is a foreign id: nothing follows from it."""


class LogPosition(NamedTuple):
    """A place in a session's log."""

    epoch: str
    sequence: int

    @classmethod
    def parse(cls, id: str) -> LogPosition | None:
        """The position that an id of the hub's form names."""
        match = _HUB_ID.fullmatch(id)
        return None if match is None else cls(match[1], int(match[2]))

    def is_news_after(self, other: LogPosition) -> bool:
        """Whether it lies behind the other one, or in another epoch, where nothing is before or behind."""
        return self.epoch != other.epoch or self.sequence > other.sequence


class Cursor:
    """The last position, and what was delivered up to it."""

    __slots__ = ("_delivered", "_last_gap", "id", "resume")

    def __init__(self, id: str = "") -> None:
        """``id``: where to begin; empty for wherever the server begins."""
        self.id = ""
        """The last event id; empty for none."""
        self.resume = ""
        """The last id that a request can carry: ``id``, unless no header may have that one."""
        self._delivered: LogPosition | None = None
        self._last_gap: Gap | None = None
        self.jump(id)

    def is_duplicate(self, id: str) -> bool:
        """Whether the event with this id was delivered before. One that no hub of ours made never was."""
        if self._delivered is None:
            return False
        position = LogPosition.parse(id)
        return position is not None and not position.is_news_after(self._delivered)

    def jump(self, id: str) -> None:
        """An event was delivered, or a gap told, after which the stream may begin anew further back."""
        self._delivered = LogPosition.parse(id)
        self._set(id)

    def is_news(self, gap: Gap) -> bool:
        """A gap came. False: it was told before, and the stream has gone on since; so answers a cache."""
        is_behind = gap.last is not None and self.is_duplicate(gap.last)
        if is_behind and self._last_gap == gap:
            return False
        self._last_gap = gap
        return True

    def pass_by(self, id: str) -> None:
        """A position without an event. One that was passed already does not count."""
        if id != self.id and not self.is_duplicate(id):
            self._set(id)

    def forget_delivered(self) -> None:
        """Something is missing, and nobody says where it goes on: anything that comes now is news."""
        self._delivered = None

    def _set(self, id: str) -> None:
        self.id = id
        # The stream goes on with the id before, rather than end for one that cannot be sent.
        if is_sendable(id):
            self.resume = id


def is_sendable(id: str) -> bool:
    """Whether a header can carry the id: no control characters, no blanks at its ends, not too long."""
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        return False
    has_controls = any(character < " " or character == "\x7f" for character in id)
    return size <= LAST_EVENT_ID_BYTES and not has_controls and id.strip(" ") == id
