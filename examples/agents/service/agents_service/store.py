"""What is kept: runs and their steps, and who is signed in, or was. SQLite, in one file.

A step is kept before any page is told of it. So whatever a page has seen is still there after a crash, and a run goes
on counting where its pages are.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from .steps import Run, Step, Summary

Result = TypeVar("Result")

RUNS_KEPT = 500
"""How many runs of a user are kept, ended ones; older ones are forgotten with the start of new ones."""

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, task TEXT NOT NULL, words INTEGER NOT NULL, started_at REAL NOT NULL,
    summary TEXT NOT NULL, is_told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_owner ON runs (owner, started_at DESC, id);
CREATE INDEX IF NOT EXISTS runs_to_tell ON runs (is_told) WHERE is_told = 0;
CREATE TABLE IF NOT EXISTS steps (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, n INTEGER NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sign_ins (digest BLOB PRIMARY KEY, user TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revocations (id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
"""


class NotJsonError(ValueError):
    """A step has something in it that is no JSON: it can be neither kept nor told."""


@dataclass(slots=True)
class _Waiting:
    """A step that is to be kept, as JSON, and who waits for it."""

    run: str
    n: int
    kind: str
    data: str
    summary: str | None
    kept: asyncio.Future[None]


class Store:
    """The database. All of it happens in one thread of its own, so the event loop never waits for the disk."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made when the store is opened."""
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._database: sqlite3.Connection | None = None
        # Bounded by the runs at work: each waits for its step before it does the next.
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, or make it.

        :raises sqlite3.Error: if it is no database, or cannot be written.
        """

        def open_file() -> sqlite3.Connection:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, check_same_thread=False)
            database.executescript(_TABLES)
            return database

        self._database = await asyncio.get_running_loop().run_in_executor(self._thread, open_file)

    async def close(self) -> None:
        """Keep what waits, and close the file."""
        if self._writer is not None:
            await self._writer
        if self._database is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
            self._database = None
        self._thread.shutdown()

    async def call(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do something with the database, in its thread, and as one transaction.

        Cancelling this waits no longer for it; it is done all the same.
        """
        database = self._database
        if database is None:
            raise RuntimeError("the store is not open")

        def transact() -> Result:
            with database:
                return work(database)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    async def append(self, run: str, n: int, step: Step, summary: Summary | None = None) -> None:
        """Keep a step, and its run's new row in the list if that changed.

        Steps that come while others are being written are written together, in the next transaction.

        :raises NotJsonError: if it is no JSON. It is nobody else's concern then.
        :raises sqlite3.Error: if it could not be kept.
        """
        data, row = _json(step.data), None if summary is None else _json(summary)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(run, n, step.kind, data, row, kept))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await kept

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
        finally:
            self._writer = None

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        """Write steps together. If one of them cannot be kept, write each by itself: the others can."""
        error: Exception | None = None
        try:
            await self.call(partial(_keep, batch))
        except Exception as thrown:  # whoever waits for a step is told of it
            # An `OperationalError` is about the database (locked, full), and not about a step.
            if len(batch) > 1 and not isinstance(thrown, sqlite3.OperationalError):
                for each in batch:
                    await self._write_batch([each])
                return
            error = thrown
        for each in batch:
            if each.kept.done():
                continue
            if error is None:
                each.kept.set_result(None)
            else:
                each.kept.set_exception(error)

    async def begin(self, runs: list[Run]) -> None:
        """Keep runs that begin, and forget the oldest of their owners that are over and told."""

        def insert(database: sqlite3.Connection) -> None:
            database.executemany(
                "INSERT INTO runs (id, owner, task, words, started_at, summary) VALUES (?, ?, ?, ?, ?, ?)",
                [(r.id, r.owner, r.task, r.words, r.started_at, json.dumps(r.summary())) for r in runs],
            )
            for owner in {run.owner for run in runs}:
                database.execute(
                    "DELETE FROM runs WHERE is_told = 1 AND id IN (SELECT id FROM runs WHERE owner = ?"
                    " ORDER BY started_at DESC, id LIMIT -1 OFFSET ?)",
                    (owner, RUNS_KEPT),
                )

        await self.call(insert)

    async def load(self, run: str) -> Run | None:
        """Return a run, made of its kept steps; ``None`` if there is none of this id."""
        return await self.call(lambda database: _load(database, run))

    async def list_of(self, owner: str) -> list[Summary]:
        """Return a user's runs, the newest first."""
        rows = await self.call(
            lambda database: database.execute(
                "SELECT summary FROM runs WHERE owner = ? ORDER BY started_at DESC, id LIMIT ?",
                (owner, RUNS_KEPT),
            ).fetchall()
        )
        return [json.loads(summary) for (summary,) in rows]

    async def untold(self) -> list[str]:
        """Return the ids of the runs of whose end the hub was not told: those at work, and those a stop left behind."""
        rows = await self.call(lambda database: database.execute("SELECT id FROM runs WHERE is_told = 0").fetchall())
        return [run for (run,) in rows]

    async def mark_told(self, run: str) -> None:
        """Keep that the hub knows of this run's end."""
        await self.call(lambda database: database.execute("UPDATE runs SET is_told = 1 WHERE id = ?", (run,)))


def _json(value: object) -> str:
    """Encode as JSON that others can read, too: no ``NaN``, and no half of a character.

    :raises NotJsonError: if that cannot be done.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"this is no JSON: {error}") from error
    return text


def _keep(batch: list[_Waiting], database: sqlite3.Connection) -> None:
    database.executemany(
        "INSERT INTO steps (run, n, kind, data) VALUES (?, ?, ?, ?)",
        [(each.run, each.n, each.kind, each.data) for each in batch],
    )
    database.executemany(
        "UPDATE runs SET summary = ? WHERE id = ?",
        [(each.summary, each.run) for each in batch if each.summary is not None],
    )


def _load(database: sqlite3.Connection, run: str) -> Run | None:
    row = database.execute("SELECT id, owner, task, words, started_at FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None:
        return None
    loaded = Run(*row)
    for n, kind, data in database.execute("SELECT n, kind, data FROM steps WHERE run = ? ORDER BY n", (run,)):
        loaded.apply(n, Step(kind, json.loads(data)))
    return loaded
