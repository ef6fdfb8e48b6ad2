"""Where a subscription stands: the id to resume from, whichever way events come. Belongs to the subscription and outlives
every connection, every token and every change between stream and long-poll."""

from __future__ import annotations

import re

from .events import Gap
from .limits import LAST_EVENT_ID_BYTES

# 12 characters of the hub's alphabet (i, l, o and u are left out), a dash, a decimal number of at most 16 digits.
_POSITION = re.compile(r"([0-9a-hjkmnp-tv-z]{12})-(0|[1-9][0-9]{0,15})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_position(id: str) -> tuple[str, int] | None:
    """The epoch and the sequence of an id of the hub's form; nothing of any other."""
    found = _POSITION.fullmatch(id)
    return (found[1], int(found[2])) if found else None


def is_sendable(id: str) -> bool:
    """Whether a request can carry the id: no control characters (RFC 9110, section 5.5), not too long."""
    # A header's value loses blanks at its ends.
    if id.strip(" ") != id or _CONTROL.search(id):
        return False
    try:
        return len(id.encode()) <= LAST_EVENT_ID_BYTES
    except UnicodeEncodeError:
        return False


class Cursor:
    """The last position, and what was delivered up to it."""

    def __init__(self, id: str = "") -> None:
        self.id = ""
        """The id in force; empty for none."""
        self.resume = ""
        """The last id that a request can carry: `id`, unless that one is such that no header may have it."""
        # The hub's own position up to which everything was delivered: what is not after it is a duplicate.
        self._delivered: tuple[str, int] | None = None
        # The last gap that was told: who repeats it says nothing new.
        self._last_gap: Gap | None = None
        self.jump(id)

    def is_duplicate(self, id: str) -> bool:
        """Whether an event with this id was delivered before. An id that is not of the hub's form never was."""
        at = parse_position(id) if self._delivered else None
        # In another epoch nothing is before or after anything.
        return at is not None and self._delivered is not None and at[0] == self._delivered[0] and at <= self._delivered

    def event(self, id: str) -> None:
        """An event was delivered."""
        if id != self.id:
            self._delivered = parse_position(id)
            self._set(id)

    def jump(self, id: str) -> bool:
        """The hub said where the stream stands: with a gap, after which it may begin anew further back, or because the
        application wants it there. Returns whether the position moved."""
        moved = id != self.id
        self._delivered = parse_position(id)
        self._set(id)
        return moved

    def is_news(self, gap: Gap) -> bool:
        """Whether a gap is to be told. `False`: it was, and the stream has gone on since; whoever answers so repeats what
        it has said, as a cache does."""
        if gap.last is not None and self.is_duplicate(gap.last) and self._last_gap == gap:
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
