"""Which events are published together. Knows no hub."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from watertight_sse.hub._errors import HubError
from watertight_sse.hub._events import Handed, Publishable, handed

BATCH_EVENTS_MAX: Final = 500
"""Events that are appended together, at most: so long is a log locked for other publishers."""


class Batches:
    """Events in order, in batches that the hub takes whole. Reads no more of them than the next batch needs.

    Whatever goes wrong, with an event or in the hub, the error says in ``ids`` what was published before.
    """

    def __init__(self, events: Iterable[Publishable], most: int) -> None:
        """At most so many at once."""
        self._events = events
        self._most = most
        self._halves: deque[list[Handed]] = deque()
        self.ids: list[str] = []
        """Of those that were published."""

    def __iter__(self) -> Iterator[list[Handed]]:
        """What is to be published next."""
        with self._telling():
            events = iter(self._events)
        while batch := self._next(events):
            yield batch
            while self._halves:
                yield self._halves.popleft()

    def _next(self, events: Iterator[Publishable]) -> list[Handed]:
        batch: list[Handed] = []
        with self._telling():
            for event in events:
                batch.append(handed(event))
                if len(batch) == self._most:
                    break
        return batch

    def published(self, ids: list[str]) -> None:
        """The batch was published."""
        self.ids += ids

    @contextmanager
    def trying(self, batch: list[Handed]) -> Generator[None, None, None]:
        """While it is published. Refused because it is too large, halves of it come next."""
        with self._telling():
            try:
                yield
            except HubError as error:
                if error.code == "BATCH_TOO_LARGE" and len(batch) > 1:
                    middle = len(batch) // 2
                    self._halves.extendleft([batch[middle:], batch[:middle]])
                    return
                if error.index is not None:
                    error.index += len(self.ids)
                elif len(batch) == 1:
                    error.index = len(self.ids)
                raise

    @contextmanager
    def _telling(self) -> Generator[None, None, None]:
        try:
            yield
        except Exception as error:
            # An exception takes any attribute; only the hub's own has it in its class.
            vars(error)["ids"] = self.ids
            raise
