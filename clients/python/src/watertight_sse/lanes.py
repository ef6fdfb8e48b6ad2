"""What waits to be published to one session, in order: at most one request of it is under way. Knows no request's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .errors import WatertightError
from .limits import BATCH_BYTES_MAX, BATCH_EVENTS_MAX


@dataclass(slots=True, eq=False)
class Entry:
    """One event, or the end of the session."""

    body: bytes
    size: int
    """What it counts for in the buffer, bytes."""
    settle: Callable[[str | None, WatertightError | None], None]
    """Called once, with its id or with why it has none."""
    key: str | None = None
    """The application's own: such an event is a request of its own."""
    is_end: bool = False
    end: Callable[[dict[str, object]], None] | None = None
    """Takes the answer to the end of the session."""
    is_wanted: Callable[[], bool] | None = None
    """Whether it is still to be sent; asked before each attempt to send it first."""

    @property
    def is_alone(self) -> bool:
        return self.is_end or self.key is not None


class Lane:
    """The entries of one session, and how many of them the next request takes."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        # Fewer after a refusal, to find who is refused.
        self._batch_max = BATCH_EVENTS_MAX

    def next_batch(self) -> list[Entry]:
        """Takes out what goes with the next request; those that nobody wants any more are settled by whoever gets them."""
        batch: list[Entry] = []
        size = 0
        while self.entries and len(batch) < self._batch_max:
            entry = self.entries[0]
            if batch and (entry.is_alone or size + len(entry.body) > BATCH_BYTES_MAX):
                break
            self.entries.popleft()
            batch.append(entry)
            size += len(entry.body) + 1
            if entry.is_alone:
                break
        return batch

    def give_back(self, batch: list[Entry]) -> None:
        """Puts a batch that was refused back where it was, first in line, and takes half as many at once."""
        self._batch_max = max(len(batch) // 2, 1)
        self.entries.extendleft(reversed(batch))

    def succeeded(self) -> None:
        self._batch_max = min(self._batch_max * 2, BATCH_EVENTS_MAX)
