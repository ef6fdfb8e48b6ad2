"""Brings what is kept to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from watertight_sse import StoppedError, WatertightError

from .steps import Step, Summary

log = logging.getLogger(__name__)

OUTBOX_MAX = 1_000
"""How many steps of a run may wait for the hub. An agent that is further ahead than that waits, too."""
BATCH_MAX = 100
REFUSALS = (WatertightError, ValueError)
"""What a publisher raises: the hub refuses something, or it is nothing that could be published."""


def session_of_run(run: str) -> str:
    """Name the session that carries the steps of a run."""
    return f"run-{run}"


def session_of_list(user: str) -> str:
    """Name the session that carries the rows of a user's list of runs."""
    return f"runs-{user}"


@dataclass(frozen=True, slots=True)
class News:
    """A step that was kept, and its run's new row in the list if that changed."""

    n: int
    step: Step
    summary: Summary | None = None

    def event(self) -> dict[str, Any]:
        """Return the data of its event."""
        return {"n": self.n, "kind": self.step.kind, **self.step.data}


class Hub(Protocol):
    """The part of ``watertight_sse.Publisher`` that is needed here. It asks again until the hub has an answer."""

    async def publish(self, session: str, data: Any, *, type: str) -> object:
        """Publish one event; events of one session keep their order."""

    async def publish_many(self, session: str, events: Iterable[Any], *, type: str) -> object:
        """Publish several."""

    async def end(self, session: str) -> object:
        """End a session, behind everything that was published before."""


class Teller:
    """Publishes the steps of one run in their order, and ends its session behind the last.

    While the hub is away steps wait in the outbox. Nothing is lost by that: they are kept, and every snapshot has them.
    """

    def __init__(self, hub: Hub, run: str, owner: str) -> None:
        """Tell ``hub`` of a run of a user's."""
        self._hub = hub
        self._run = session_of_run(run)
        self._list = session_of_list(owner)
        self._outbox: asyncio.Queue[News] = asyncio.Queue(OUTBOX_MAX)
        self._is_refused = False

    async def put(self, news: News) -> None:
        """Have it told; wait while the outbox is full."""
        await self._outbox.put(news)

    def put_if_room(self, news: News) -> None:
        """Have it told, unless the outbox is full."""
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(news)

    async def tell_all(self) -> bool:
        """Publish until the run's last step is told, and its session ended.

        :returns: whether the hub has ended the session. What it refuses before is passed over: pages see by the numbers
            that a step is missing, and fetch the snapshot.
        """
        while True:
            batch = [await self._outbox.get()]
            while len(batch) < BATCH_MAX and not self._outbox.empty():
                batch.append(self._outbox.get_nowait())
            await self._tell_steps(batch)
            summaries = [news.summary for news in batch if news.summary is not None]
            if summaries:
                # Each row stands for itself: the newest is enough.
                await self._is_taken(self._hub.publish(self._list, summaries[-1], type="run"))
            if batch[-1].step.kind == "end":
                return await self._is_taken(self._hub.end(self._run))

    async def _tell_steps(self, batch: list[News]) -> None:
        """Publish steps at once; if the hub refuses one of them, publish each by itself."""
        try:
            await self._hub.publish_many(self._run, [news.event() for news in batch], type="step")
        except REFUSALS as error:
            # All before the one that failed are there. If that is not known, some come twice, and have their numbers.
            first = error.count if isinstance(error, StoppedError) else 0
            for news in batch[first:]:
                await self._is_taken(self._hub.publish(self._run, news.event(), type="step"))

    async def _is_taken(self, request: Awaitable[object]) -> bool:
        """Wait for the hub's answer. No try can mend a refusal, and nothing behind it has to wait for it."""
        try:
            await request
        except REFUSALS as error:
            if not self._is_refused:
                log.warning("the hub refuses something of %s, and perhaps more: %s", self._run, error)
            self._is_refused = True
            return False
        return True
