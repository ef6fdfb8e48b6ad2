"""Starts runs, keeps and tells what they do, and picks up what a stop of the service left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from . import agent
from .steps import Run, Snapshot, Status, Step, Summary, end
from .store import Store
from .telling import Hub, News, Teller

log = logging.getLogger(__name__)

RUNS_AT_WORK_MAX = 400
"""How many runs of a user may be at work at once."""
STOP_SECONDS = 5.0
"""How long a stopping service waits for the hub to take the last steps; the next start tells the rest."""

_INTERRUPTED = "The service was stopped while this run was at work."
_BROKEN = "The agent broke down. The service's log says more."


class TooManyRunsError(Exception):
    """The user has as many runs at work as one may have."""


@dataclass(slots=True)
class _AtWork:
    """A run whose steps are not all told yet. It is in memory for that time only."""

    run: Run
    teller: Teller
    telling: asyncio.Task[None] | None = None
    agent: asyncio.Task[None] | None = None


class Desk:
    """All runs. ``open`` it before, and ``close`` it behind everything else."""

    def __init__(self, store: Store, hub: Hub, pace: float) -> None:
        """Keep in ``store``, tell ``hub``; both are open as long as this is."""
        self._store = store
        self._hub = hub
        self._pace = pace
        self._at_work: dict[str, _AtWork] = {}
        # How many runs of a user are being kept for the first time, and are not at work yet; none that is zero.
        self._starting: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Pick up what the last stop left behind.

        A run that was at work then has lost its agent: it ends as interrupted. One that had ended, but of whose end the
        hub may not know, is told again. Pages that have it already know by its number.
        """
        for run_id in await self._store.untold():
            run = await self._store.load(run_id)
            if run is None:
                continue
            work = self._begin(run)
            if not run.is_over:
                await self._interrupt(work)
            else:
                again = end(run.status, run.note, run.ended_at or run.started_at)
                await work.teller.put(News(run.n, again, run.summary()))

    async def close(self) -> None:
        """End what is at work as interrupted, and give the hub a few seconds to take it."""
        agents = [work.agent for work in self._at_work.values() if work.agent is not None]
        for task in agents:
            task.cancel()
        await asyncio.gather(*agents, return_exceptions=True)
        unfinished = [work for work in self._at_work.values() if not work.run.is_over]
        for result in await asyncio.gather(*map(self._interrupt, unfinished), return_exceptions=True):
            if isinstance(result, BaseException):
                log.error("the end of a run cannot be kept; the next start picks it up", exc_info=result)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            log.warning("the hub was not told of %d runs; it is told at the next start", len(late))

    async def start(self, owner: str, task: str, words: int, count: int) -> list[Summary]:
        """Start ``count`` runs of a task.

        :raises TooManyRunsError: if the user would have more than ``RUNS_AT_WORK_MAX`` at work.
        """
        at_work = sum(work.run.owner == owner for work in self._at_work.values())
        if at_work + self._starting[owner] + count > RUNS_AT_WORK_MAX:
            raise TooManyRunsError
        runs = [
            Run(secrets.token_hex(8), owner, task if count == 1 else f"{task} #{n}", words, time.time())
            for n in range(1, count + 1)
        ]
        # They count from here on: others are started while these are being kept.
        self._starting[owner] += count
        try:
            await self._store.begin(runs)
            for run in runs:
                work = self._begin(run)
                work.agent = self._keep(self._work(work))
        finally:
            self._starting -= Counter({owner: count})
        return [run.summary() for run in runs]

    async def find(self, run_id: str) -> Run | None:
        """Return a run as far as it is kept; ``None`` if there is none of this id."""
        work = self._at_work.get(run_id)
        return await self._store.load(run_id) if work is None else work.run

    async def snapshot(self, run_id: str) -> Snapshot | None:
        """Return all that the kept steps of a run amount to."""
        run = await self.find(run_id)
        return None if run is None else run.snapshot()

    async def list_of(self, owner: str) -> list[Summary]:
        """Return a user's runs, the newest first."""
        return await self._store.list_of(owner)

    def _begin(self, run: Run) -> _AtWork:
        teller = Teller(self._hub, run.id, run.owner)
        work = _AtWork(run, teller)
        work.telling = self._keep(self._tell(work))
        self._at_work[run.id] = work
        return work

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, and hold on to it until it is over: the event loop does not."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tell(self, work: _AtWork) -> None:
        try:
            if await work.teller.tell_all():
                await self._store.mark_told(work.run.id)
        except sqlite3.Error:
            log.exception("that run %s was told cannot be kept; the next start tells it again", work.run.id)
        finally:
            del self._at_work[work.run.id]

    async def _work(self, work: _AtWork) -> None:
        """Let the agent work. However that ends, the run has a last step that says so.

        Whoever cancels it sees to that step: a task that has not begun yet is cancelled without a word.
        """
        run = work.run
        status: Status = "done"
        note = ""
        try:
            async with contextlib.aclosing(agent.work(run.task, run.words, self._pace)) as steps:
                async for step in steps:
                    await self._record(work, step)
        except agent.ToolError as error:
            status, note = "failed", f"It gave up: {error}."
        except Exception:
            log.exception("the agent of run %s broke down", run.id)
            status, note = "failed", _BROKEN
        try:
            await self._record(work, end(status, note, time.time()))
        except Exception:
            log.exception("the end of run %s cannot be kept; the next start picks it up", run.id)
            if work.telling is not None:
                work.telling.cancel()

    async def _interrupt(self, work: _AtWork) -> None:
        """End a run whose agent is gone."""
        work.teller.put_if_room(await self._keep_step(work.run, end("interrupted", _INTERRUPTED, time.time())))

    async def _record(self, work: _AtWork, step: Step) -> None:
        """Keep a step, then apply it, then have it told: in this order.

        A snapshot never has a step that a crash could take back, and always has each that the hub has. Who is cancelled
        here has recorded the step whole. It may not be told then, if the outbox is full: pages see that by the numbers.
        """
        news = asyncio.ensure_future(self._keep_step(work.run, step))
        try:
            await asyncio.shield(news)
        except asyncio.CancelledError:
            await news
            work.teller.put_if_room(news.result())
            raise
        await work.teller.put(news.result())

    async def _keep_step(self, run: Run, step: Step) -> News:
        news = News(run.n + 1, step, run.summary_after(step))
        await self._store.append(run.id, news.n, step, news.summary)
        run.apply(news.n, step)
        return news
