"""An incremental parser of `text/event-stream` (WHATWG HTML, section 9.2.6): any bytes in, cut anywhere, what they mean out.

Bytes that are not UTF-8 become U+FFFD and the stream goes on, as the standard has it. Lines end with CR, LF or CRLF, and a
bare CR ends its line at once. Memory is bounded: one unfinished event beside the chunk. `clients/cases/parser-cases.json`
drives this and its TypeScript and Rust twins.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from .errors import EventTooLarge
from .events import Event
from .limits import COMMENT_BYTES_MAX, MAX_EVENT_BYTES

_BOM: Final = codecs.BOM_UTF8
_LINE_END: Final = re.compile(rb"[\r\n]")
_LF: Final = 0x0A
_NAME_BYTES_MAX: Final = 5
"""The longest names with a meaning are `event` and `retry`."""
RETRY_BEYOND: Final = 2**53 - 1
"""A `retry:` above this counts as this."""


@dataclass(frozen=True, slots=True)
class Comment:
    """All that stands behind the colon. Of a long one only the first 1,024 bytes."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to wait before coming back, milliseconds, as the peer has it: clamp it."""

    milliseconds: int


Parsed: TypeAlias = Event | Comment | Retry

# What the value of a line is for.
_COMMENT: Final = "comment"
_IGNORED: Final = "ignored"
_FIELDS: Final = {b"": _COMMENT, b"data": "data", b"event": "event", b"id": "id", b"retry": "retry"}


def _text(value: bytes | bytearray) -> str:
    return value.decode("utf-8", "replace")


class Parser:
    """One for each connection. After `EventTooLarge` it takes nothing more."""

    def __init__(self, last_event_id: str = "", max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = last_event_id
        """The id that a client coming back sends. An event's id counts once the event has ended, also if it had no data."""
        self._limit = max_event_bytes
        self._is_dead = False
        # How much of a byte order mark was seen at the start; `None` once that is past.
        self._mark: int | None = 0
        self._after_cr = False
        # The line being read: its name until that is known, then what its value is for, then the value.
        self._name = b""
        self._field: str | None = None
        self._at_start = False
        self._value = bytearray()
        self._comment_is_cut = False
        self._number: int | None = None
        self._is_number = True
        # The event being gathered.
        self._data: bytearray | None = None
        self._type = b""
        self._id: bytes | None = None

    def feed(self, chunk: bytes) -> Iterator[Parsed]:
        """Takes the next bytes and yields what they complete, in order. Take all of it before the next chunk.

        Raises `EventTooLarge`; what came before was yielded.
        """
        if self._is_dead:
            raise EventTooLarge(self._limit)
        if self._mark is not None:
            chunk = self._skip_mark(chunk)
        at, end = 0, len(chunk)
        while at < end:
            if self._after_cr:
                self._after_cr = False
                if chunk[at] == _LF:
                    at += 1
                    continue
            found = _LINE_END.search(chunk, at)
            if found is None:
                self._part_of_line(chunk[at:])
                return
            stop = found.start()
            if stop > at:
                self._part_of_line(chunk[at:stop])
            self._after_cr = chunk[stop] != _LF
            at = stop + 1
            parsed = self._end_of_line()
            if parsed is not None:
                yield parsed

    def _skip_mark(self, chunk: bytes) -> bytes:
        """Takes the byte order mark off, also when it comes in pieces."""
        seen = self._mark or 0
        whole = _BOM[:seen] + chunk
        if len(whole) < len(_BOM) and _BOM.startswith(whole):
            self._mark = len(whole)
            return b""
        self._mark = None
        return whole.removeprefix(_BOM)

    def _part_of_line(self, part: bytes) -> None:
        """Takes bytes that hold no line end."""
        if self._field is None:
            colon = part.find(b":", 0, _NAME_BYTES_MAX + 1 - len(self._name))
            if colon < 0:
                self._name += part[: _NAME_BYTES_MAX + 1 - len(self._name)]
                if len(self._name) > _NAME_BYTES_MAX:
                    self._field = _IGNORED
                return
            self._begin_value(_FIELDS.get(self._name + part[:colon], _IGNORED))
            self._at_start = True
            part = part[colon + 1 :]
        if not part or self._field == _IGNORED:
            return
        if self._at_start:
            self._at_start = False
            # One space after the colon is not part of a field's value; of a comment it is.
            if part[0] == 0x20 and self._field != _COMMENT:
                part = part[1:]
        if self._field == "retry":
            self._read_digits(part)
        elif self._field == _COMMENT:
            room = COMMENT_BYTES_MAX - len(self._value)
            self._comment_is_cut = self._comment_is_cut or len(part) > room
            self._value += part[:room]
        else:
            self._check(len(part))
            if self._field == "data" and self._data is not None:
                self._data += part
            else:
                self._value += part

    def _begin_value(self, field: str) -> None:
        self._field = field
        if field != "data":
            return
        if self._data is None:
            self._data = bytearray()
        else:
            self._check(1)
            self._data += b"\n"

    def _read_digits(self, part: bytes) -> None:
        if part and not part.isdigit():
            self._is_number = False
            return
        for byte in part:
            self._number = min((self._number or 0) * 10 + byte - 0x30, RETRY_BEYOND)

    def _check(self, more: int) -> None:
        """The event, finished or not, is to hold so many bytes more."""
        held = len(self._data or b"") + len(self._type) + len(self._id or b"") + len(self._value)
        if held + more > self._limit:
            self._is_dead = True
            self._data, self._value = None, bytearray()
            raise EventTooLarge(self._limit)

    def _end_of_line(self) -> Parsed | None:
        if self._field is None:
            if not self._name:
                return self._end_of_event()
            # A line without a colon is a field without a value.
            self._begin_value(_FIELDS.get(self._name, _IGNORED))
        field, value = self._field, bytes(self._value)
        self._name, self._field, self._at_start = b"", None, False
        if value:
            self._value = bytearray()
        if field == "event":
            self._type = value
        elif field == "id":
            # One with NUL is no id.
            if b"\0" not in value:
                self._id = value
        elif field == "retry":
            number, is_number = self._number, self._is_number
            self._number, self._is_number = None, True
            return Retry(number) if number is not None and is_number else None
        elif field == _COMMENT:
            is_cut, self._comment_is_cut = self._comment_is_cut, False
            # A character that was cut in two is left out.
            return Comment(codecs.getincrementaldecoder("utf-8")("replace").decode(value, not is_cut))
        return None

    def _end_of_event(self) -> Event | None:
        """A blank line: the id counts from now on, and what has data is an event."""
        if self._id is not None:
            self.last_event_id = _text(self._id)
        data, type = self._data, self._type
        self._data, self._type, self._id = None, b"", None
        return None if data is None else Event(_text(type) or "message", _text(data), self.last_event_id)
