"""What the logic asks of the outside, and nothing else does it: the logic is a generator that yields these, and is sent what
came of them. `asyncio` and plain Python each have one small driver; tests have one without a socket and with a clock of
their own. Whatever fails is thrown into the generator as a `WatertightError`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from .events import Event, Gap, Status
from .parser import Comment

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One request; whoever sends it follows no redirect."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        # Headers, bodies and queries may be secret.
        return f"<Request {self.method} {self.url.scheme}://{self.url.host}{self.url.path}>"


@dataclass(frozen=True)
class Head:
    """The head of an answer; names in lower case."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds. Gives nothing."""

    delay: float


@dataclass(frozen=True, slots=True)
class AskToken:
    """Call the application's function; gives the token. `refresh`: the one before was refused."""

    refresh: bool
    limit: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; gives the `Head`. The answer stays open, and there is at most one: close it before."""

    request: Request
    limit: float
    phase: str


@dataclass(frozen=True, slots=True)
class Read:
    """Read some of the open answer; gives bytes, or `None` at its end."""

    limit: float
    phase: str
    longest: float
    """The longest limit that any read of this answer has: where a limit must be said once for all of them."""


@dataclass(frozen=True, slots=True)
class Close:
    """Give the open answer back, if there is one: its socket is closed, or kept if all was read. Gives nothing."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Hand something to the application: an event or a gap to its loop, the rest to its functions."""

    item: Event | Gap | Comment | Status
    position: str
    """The id to resume from once it was taken."""


@dataclass(frozen=True, slots=True)
class Move:
    """There is nothing to tell, but the id to resume from is another now."""

    position: str


Effect: TypeAlias = Sleep | AskToken | Send | Read | Close | Tell | Move

Steps: TypeAlias = Generator[Effect, Any, T]
"""What the effect before gave comes back from each `yield`."""
