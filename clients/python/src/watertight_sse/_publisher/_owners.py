"""Who is told what became of an event: its awaiting caller, nobody in particular, or a ``publish_many``. Called by the outbox;
the same with and without asyncio.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from watertight_sse._publisher._entry import Answer, Entry
from watertight_sse._publisher._errors import UnsentError
from watertight_sse._publisher._outbox import Outbox


class Awaited:
    """Each entry has its caller, who waits for the future in ``entry.tag``: asyncio's or that of ``concurrent.futures``."""

    def admitted(self, entry: Entry) -> None:
        """Of no interest: the caller waits for the answer."""

    def taken(self, entry: Entry, answer: Answer) -> None:
        """Tells the caller, if it still waits."""
        if not entry.tag.done():
            entry.tag.set_result(answer)

    def failed(self, entry: Entry, error: Exception) -> None:
        """Tells the caller, if it still waits."""
        if not entry.tag.done():
            entry.tag.set_exception(error)


class Background:
    """Entries that nobody waits for. What went wrong is kept until somebody asks; nothing is lost without a word."""

    def __init__(self, changed: Callable[[], object]) -> None:
        """``changed`` is called whenever one is settled."""
        self._changed = changed
        self._pending: OrderedDict[Entry, int] = OrderedDict()
        self._offered = 0
        self._count = 0
        self._first: Exception | None = None
        self._untold: list[tuple[Exception, str]] = []
        self.failures = 0
        """Events that were not published, in all."""

    @property
    def offered(self) -> int:
        """How many have been added so far."""
        return self._offered

    def add(self, entry: Entry) -> None:
        """It is in the outbox."""
        self._offered += 1
        self._pending[entry] = self._offered

    def remove(self, entry: Entry) -> None:
        """It was withdrawn."""
        self._pending.pop(entry, None)

    def is_settled(self, offered: int) -> bool:
        """Whether the first ``offered`` of them are."""
        return next(iter(self._pending.values()), offered + 1) > offered

    def admitted(self, entry: Entry) -> None:
        """Tells the caller that there is room."""
        self.add(entry)
        if not entry.tag.done():
            entry.tag.set_result(None)

    def taken(self, entry: Entry, answer: Answer) -> None:
        """It is published."""
        del self._pending[entry]
        self._changed()

    def failed(self, entry: Entry, error: Exception) -> None:
        """It was not published: told to its caller if that still waits for room, else kept."""
        if self._pending.pop(entry, None) is None:
            if not entry.tag.done():
                entry.tag.set_exception(error)
            return
        self._count += 1
        self.failures += 1
        if self._first is None:
            self._first = error
        self._untold.append((error, entry.session))
        self._changed()

    def untold(self) -> list[tuple[Exception, str]]:
        """The failures since this was last asked, and their sessions."""
        untold, self._untold = self._untold, []
        return untold

    def unsent(self) -> UnsentError | None:
        """The failures since this was last asked, as one error."""
        if not self._count:
            return None
        error = UnsentError(self._count)
        error.__cause__ = self._first
        self._count, self._first = 0, None
        return error


class Group:
    """The events of one ``publish_many``. After the first that fails, those behind it are not sent."""

    def __init__(self, outbox: Outbox, changed: Callable[[], object], *, keep_ids: bool) -> None:
        """``changed`` is called whenever one is admitted or settled."""
        self._outbox = outbox
        self._changed = changed
        self._pending: dict[Entry, int] = {}
        self._offered = 0
        self.count = 0
        """Events that were published."""
        self.last_id: str | None = None
        """The id of the last of them."""
        self.ids: list[str] | None = [] if keep_ids else None
        """The ids of all of them, if they are kept."""
        self.error: Exception | None = None
        """Why there are no more."""
        self.failing: asyncio.Future[None] | None = None
        """Done when there are no more, where somebody waits for that."""

    @property
    def pending(self) -> int:
        """Events that are not settled."""
        return len(self._pending)

    def add(self, entry: Entry) -> None:
        """It is about to be offered."""
        self._offered += 1
        self._pending[entry] = self._offered

    def withdraw(self) -> None:
        """Takes out whatever is not under way, and hears of nothing more."""
        pending, self._pending = list(self._pending), {}
        for entry in reversed(pending):
            self._outbox.withdraw(entry)

    def stop(self, error: Exception) -> None:
        """Nothing more can be offered; what was, goes on."""
        if self.error is None:
            self.error = error

    def admitted(self, entry: Entry) -> None:
        """There is room for it."""
        self._changed()

    def taken(self, entry: Entry, answer: Answer) -> None:
        """It is published."""
        if self._pending.pop(entry, None) is None:
            return
        self.count += 1
        self.last_id = str(answer)
        if self.ids is not None:
            self.ids.append(self.last_id)
        self._changed()

    def failed(self, entry: Entry, error: Exception) -> None:
        """It was not published, and those behind it must not be."""
        number = self._pending.pop(entry, None)
        if number is None:
            return
        if self.error is None:
            self.error = error
        if self.failing is not None and not self.failing.done():
            self.failing.set_result(None)
        behind = [other for other, its in self._pending.items() if its > number]
        for other in reversed(behind):
            if self._outbox.withdraw(other):
                del self._pending[other]
        self._changed()
