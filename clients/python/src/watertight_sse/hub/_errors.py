"""What can go wrong with a hub in the process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from watertight_sse._errors import WatertightError

if sys.version_info >= (3, 11):
    QueueTimeoutError = TimeoutError
    """Nothing came in time."""
else:

    class QueueTimeoutError(asyncio.TimeoutError, TimeoutError):
        """Nothing came in time. Until Python 3.10 the two are different classes; this is either."""


class HubError(WatertightError):
    """The hub refuses: an event, a subscriber, or anything more because it is stopping."""

    # Made of a detail, a code, and whether a retry may help, by native code, for which no code may run here.

    index: int | None = None
    """Which event of many was refused; ``None``: not one of them."""
    ids: Sequence[str] = ()
    """Of many events, those that were published before the refusal. Other errors of ``broadcast_many`` have it, too."""

    @property
    def detail(self) -> str:
        """For people."""
        return str(self.args[0])

    @property
    def code(self) -> str:
        """The stable code, as in the HTTP API: ``SESSION_ENDED``, ``EVENT_TOO_LARGE``, ``OVERLOADED``, ``SHUTTING_DOWN``..."""
        return str(self.args[1])

    @property
    def can_retry(self) -> bool:
        """Whether the same may work later."""
        return bool(self.args[2])

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class QueueClosedError(HubError):
    """There is nothing more to read: ``code`` is why the hub ended it, or ``CLOSED`` if its own reader has closed it."""

    def __init__(self, code: str) -> None:
        """``code`` says why."""
        super().__init__("there is nothing more to read", code, False)
