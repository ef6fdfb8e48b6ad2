"""Which events are published together. Knows no hub."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from watertight_sse.hub._errors import HubError
from watertight_sse.hub._events import Handed, Publishable, handed

BATCH_EVENTS_MAX: Final = 500
"""Events that are appended together, at most: so long is a log locked for other publishers."""


class Batches:
    """Events in order, in batches that the hub takes whole. Reads no more of them than the next batch needs."""

    def __init__(self, events: Iterable[Publishable], most: int) -> None:
        """At most so many at once."""
        self._events = iter(events)
        self._most = most
        self._halves: deque[list[Handed]] = deque()
        self.ids: list[str] = []
        """Of those that were published."""

    def next(self) -> list[Handed] | None:
        """What is to be published next; ``None``: that was all."""
        if self._halves:
            return self._halves.popleft()
        batch: list[Handed] = []
        for event in self._events:
            batch.append(handed(event))
            if len(batch) == self._most:
                break
        return batch or None

    def published(self, ids: list[str]) -> None:
        """The batch was published."""
        self.ids += ids

    def refused(self, batch: list[Handed], error: HubError) -> None:
        """The batch was refused: halves of it come next if it was only too large; raises ``error`` otherwise."""
        if error.code == "BATCH_TOO_LARGE" and len(batch) > 1:
            middle = len(batch) // 2
            self._halves.extendleft([batch[middle:], batch[:middle]])
            return
        if error.index is not None:
            error.index += len(self.ids)
        elif len(batch) == 1:
            error.index = len(self.ids)
        raise error
