"""What is to be sent, and who is told what became of it. Knows no socket and no clock."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Any, Protocol, TypeAlias

JSON = "application/json"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended."""

    session: str
    """Its name."""
    last: str
    """The id of its last event."""
    ended_at: float
    """When, seconds since 1970."""
    keep: float
    """For how many seconds from then its history is kept."""


Answer: TypeAlias = "str | SessionEnd"
"""What the hub answers for one entry: the event's id, or the session's end."""


class State(Enum):
    """Where an entry is."""

    NEW = 0
    WAITING = 1
    """There is no room for it; its caller holds it."""
    QUEUED = 2
    SENT = 3
    """In a request that is under way: the hub may have taken it."""
    SETTLED = 4


class Owner(Protocol):
    """Who is told what became of entries. Called where the outbox is called: must not block, and must not raise."""

    def admitted(self, entry: Entry) -> None:
        """There is room for it now."""
        ...

    def taken(self, entry: Entry, answer: Answer) -> None:
        """The hub has it."""
        ...

    def failed(self, entry: Entry, error: Exception) -> None:
        """It will not be sent again."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """What makes an entry a request of its own."""

    content_type: str
    query: Mapping[str, str | None]
    key: str | None = None
    """The caller's own ``Idempotency-Key``."""
    is_end: bool = False
    """Whether it ends the session."""


class Entry:
    """One event, or the end of a session. Held by the outbox from ``offer`` until it is settled."""

    __slots__ = ("alone", "body", "owner", "session", "size", "state", "tag")

    def __init__(self, session: str, body: bytes, owner: Owner, alone: Alone | None = None) -> None:
        """``body`` is a line of NDJSON, or the body of the request if it is ``alone``."""
        self.session = session
        self.body = body
        self.size = len(body)
        """What it is charged with, bytes."""
        self.owner = owner
        self.alone = alone
        self.state = State.NEW
        self.tag: Any = None
        """The owner's."""


def is_admitted(entry: Entry) -> bool:
    """Whether the entry does not wait for room."""
    return entry.state is not State.WAITING


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, the same with each attempt: the key makes the hub take it once."""

    session: str
    content_type: str
    query: Mapping[str, str | None]
    key: str
    body: bytes
    is_end: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A request and the entries in it."""

    entries: list[Entry]
    request: Request


class Keys:
    """Idempotency keys: 128 random bits for the publisher, and a count. No two requests share one."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        """Draws from the operating system."""
        self._prefix = secrets.token_hex(16)
        self._count = count()

    def next_key(self) -> str:
        """A key that no request has had."""
        return f"{self._prefix}-{next(self._count)}"
