"""Bytes of ``text/event-stream`` in, what they mean out (HTML Standard, section 9.2.6), in any pieces.

The twin of the Rust and the TypeScript parser; ``clients/cases/parser-cases.json`` drives all three. It
looks at each byte a fixed number of times, and holds one unfinished event beside the chunk that it was fed.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple, TypeAlias

from watertight_sse._errors import EventTooLargeError
from watertight_sse._subscriber.limits import COMMENT_BYTES_MAX, MAX_EVENT_BYTES

_BOM = b"\xef\xbb\xbf"
_LF, _CR, _SPACE = b"\n\r "
_NAME_BYTES_MAX = 5
"""``event`` and ``retry`` are the longest names with a meaning."""
_RETRY_DIGITS_MAX = 17
"""A number of more digits is only more than anybody waits."""
_EVENT_FIELDS = (b"data", b"event", b"id")


class ParsedEvent(NamedTuple):
    """An event. ``id`` is the last event id: its own if ``has_own_id``, else that of an earlier one."""

    type: str
    data: str
    id: str
    has_own_id: bool


class Comment(NamedTuple):
    """A comment, all that stands behind its colon; of a long one the first 1,024 bytes."""

    text: str


class Retry(NamedTuple):
    """``retry:``. Any number that digits can say, so clamp it."""

    milliseconds: int


class Position(NamedTuple):
    """A block without data has an id."""

    id: str


Parsed: TypeAlias = ParsedEvent | Comment | Retry | Position


class Parser:
    """Is fed chunks, and asked for what they hold, one item at a time; for one connection."""

    def __init__(
        self, last_event_id: str = "", max_event_bytes: int = MAX_EVENT_BYTES, *, comments: bool = True
    ) -> None:
        """``last_event_id`` is that of the connection before; ``comments`` says whether they are wanted."""
        self.last_event_id = last_event_id
        """The id that a client coming back would send; only a blank line changes it."""
        self._limit = max_event_bytes
        self._comments = comments
        # What was fed and not asked for yet: whole lines in reverse order, and the beginning of one.
        self._lines: list[bytes] = []
        self._tail = b""
        # What may be the beginning of a byte order mark; None once it is known.
        self._start: bytes | None = b""
        self._is_after_cr = False
        self._is_dead = False
        # The line that is not finished yet: its name as far as it goes, then (name complete) its value.
        self._name = b""
        self._is_in_value = False
        self._is_at_space = False
        self._value = bytearray()
        self._is_no_number = False
        # The event that is not finished yet.
        self._data: bytearray | None = None
        self._type = b""
        self._id: bytes | None = None

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes. ``next`` has to have said that there is nothing more of those before."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if not chunk:
            return
        if self._is_after_cr and chunk[0] == _LF:
            # An LF after a CR belongs to it.
            chunk = chunk[1:]
            self._is_after_cr = False
            if not chunk:
                return
        self._is_after_cr = chunk[-1] == _CR
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._lines = chunk.split(b"\n")
        self._tail = self._lines.pop()
        self._lines.reverse()

    def next(self) -> Parsed | None:
        """The next item of what was fed; ``None`` if there is nothing more in it.

        Raises:
            EventTooLargeError: an event, finished or not, has outgrown the limit. So it stays.
        """
        if self._is_dead:
            raise EventTooLargeError(self._limit)
        lines = self._lines
        while lines:
            line = lines.pop()
            if self._name or self._is_in_value:
                self._part(line)
                found = self._end_of_line()
            elif line:
                found = self._whole_line(line)
            else:
                found = self._end_of_event()
            if found is not None:
                return found
        if self._tail:
            tail, self._tail = self._tail, b""
            self._part(tail)
        return None

    def _whole_line(self, line: bytes) -> Parsed | None:
        name, _, value = line.partition(b":")
        if not name:
            return self._comment(value) if self._comments else None
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            if self._data is None:
                self._make_room(len(value))
                self._data = bytearray(value)
            else:
                self._make_room(len(value) + 1)
                self._data += b"\n"
                self._data += value
        elif name == b"id":
            self._make_room(len(value))
            self._take_id(value)
        elif name == b"event":
            self._make_room(len(value))
            self._type = value
        elif name == b"retry" and value.isdigit():
            return _retry(value)
        return None

    def _part(self, part: bytes) -> None:
        """Takes a part of a line, which holds no line end."""
        if not self._is_in_value:
            name = self._name + part
            colon = name.find(b":", 0, _NAME_BYTES_MAX + 1)
            if colon < 0 and len(name) <= _NAME_BYTES_MAX:
                self._name = name
                return
            self._is_in_value = True
            self._is_at_space = colon > 0
            # A name that is longer than any with a meaning has none: nothing is kept of its value.
            self._name = name[:colon] if colon >= 0 else b"-"
            if self._name == b"data":
                self._begin_data()
            part = name[colon + 1 :] if colon >= 0 else b""
        if not part:
            return
        if self._is_at_space:
            self._is_at_space = False
            if part[0] == _SPACE:
                part = part[1:]
        self._grow(part)

    def _grow(self, part: bytes) -> None:
        """The value of the unfinished line grows."""
        if self._name in _EVENT_FIELDS:
            self._make_room(len(part))
            if self._name == b"data" and self._data is not None:
                self._data += part
            else:
                self._value += part
        elif self._name == b"retry":
            self._is_no_number = self._is_no_number or not (part.isdigit() or not part)
            # One zero is kept, so that it is known that there was a digit.
            digits = (self._value + part).lstrip(b"0") or (self._value + part)[:1]
            self._value = bytearray(digits[:_RETRY_DIGITS_MAX])
        elif not self._name and self._comments:
            # One byte more than is told shows that it was cut.
            self._value += part[: COMMENT_BYTES_MAX + 1 - len(self._value)]

    def _end_of_line(self) -> Parsed | None:
        """The line that came in parts is complete."""
        name, value = self._name, bytes(self._value)
        is_field_alone, is_no_number = not self._is_in_value, self._is_no_number
        self._name, self._is_in_value, self._value, self._is_no_number = b"", False, bytearray(), False
        if not name:
            return self._comment(value) if self._comments else None
        if name == b"data" and is_field_alone:
            self._begin_data()
        elif name == b"id":
            self._take_id(value)
        elif name == b"event":
            self._type = value
        elif name == b"retry" and value and not is_no_number:
            return _retry(value)
        return None

    def _begin_data(self) -> None:
        if self._data is None:
            self._data = bytearray()
        else:
            self._make_room(1)
            self._data += b"\n"

    def _take_id(self, value: bytes) -> None:
        # One with NUL is no id.
        if b"\0" not in value:
            self._id = value

    def _make_room(self, more: int) -> None:
        """So many bytes more are to be held."""
        held = len(self._data or b"") + len(self._type) + len(self._id or b"") + len(self._value) + more
        if held <= self._limit:
            return
        self._is_dead = True
        self._data, self._type, self._id, self._value = None, b"", None, bytearray()
        self._lines, self._tail = [], b""
        raise EventTooLargeError(self._limit)

    def _end_of_event(self) -> Parsed | None:
        """A blank line: the id counts from now on, and what has data is an event."""
        data, id, type = self._data, self._id, self._type
        if id is not None:
            self.last_event_id = id.decode("utf-8", "replace")
            self._id = None
        if type:
            self._type = b""
        if data is not None:
            self._data = None
            name = type.decode("utf-8", "replace") if type else "message"
            return ParsedEvent(name, data.decode("utf-8", "replace"), self.last_event_id, id is not None)
        return None if id is None else Position(self.last_event_id)

    @staticmethod
    def _comment(value: bytes) -> Comment:
        if len(value) <= COMMENT_BYTES_MAX:
            return Comment(value.decode("utf-8", "replace"))
        # A character that the cut parts is left out.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return Comment(decoder.decode(value[:COMMENT_BYTES_MAX]))


def _retry(digits: bytes) -> Retry:
    return Retry(int(digits.lstrip(b"0")[:_RETRY_DIGITS_MAX] or b"0"))
