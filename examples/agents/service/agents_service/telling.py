"""Brings what is kept to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from watertight_sse import WatertightError

from .steps import Step, Summary

log = logging.getLogger(__name__)

OUTBOX_MAX = 1_000
"""How many steps of a run may wait for the hub. An agent that is further ahead than that waits, too."""
BATCH_MAX = 100


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

    async def put(self, news: News) -> None:
        """Have it told; wait while the outbox is full."""
        await self._outbox.put(news)

    def put_if_room(self, news: News) -> None:
        """Have it told, unless the outbox is full."""
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(news)

    async def tell_all(self) -> bool:
        """Publish until the run's last step is told, and its session ended.

        :returns: whether the hub knows all; if it refuses what it is sent, no try can mend that, and it is logged.
        """
        try:
            while True:
                batch = [await self._outbox.get()]
                while len(batch) < BATCH_MAX and not self._outbox.empty():
                    batch.append(self._outbox.get_nowait())
                await self._hub.publish_many(self._run, [news.event() for news in batch], type="step")
                summaries = [news.summary for news in batch if news.summary is not None]
                if summaries:
                    # Each row stands for itself: the newest is enough.
                    await self._hub.publish(self._list, summaries[-1], type="run")
                if batch[-1].step.kind == "end":
                    await self._hub.end(self._run)
                    return True
        except WatertightError:
            log.exception("the hub does not take the steps of %s", self._run)
        # The agent works on, and its steps are kept. It must not wait for an outbox that nobody empties.
        while (await self._outbox.get()).step.kind != "end":
            pass
        return False
