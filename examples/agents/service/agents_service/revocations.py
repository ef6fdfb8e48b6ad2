"""Tells the hub whose tokens count no longer: those of who has signed out.

What it is to be told is kept, in the same transaction that forgets the sign-in, until it has been told: the hub may be
away at that moment, and so may this service, right after it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable

import httpx

from .store import Store

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Between two tries."""


class Revocations:
    """What the hub is still to be told. ``open`` it before anybody signs out, and ``close`` it before the store."""

    def __init__(self, store: Store, hub: httpx.AsyncClient, token: Callable[[], str]) -> None:
        """Ask ``hub``, with an operator's token (``admin``)."""
        self._store = store
        self._hub = hub
        self._token = token
        self._is_wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin, with what an earlier process did not get to tell."""
        self.wake()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop telling. What is left is kept, and the next start tells it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Have the hub told what was kept."""
        self._is_wanted.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            try:
                await self._tell_all()
                failures = 0
            except Exception:  # whatever it is: what is kept is told later
                failures += 1
                if failures == 1:
                    log.warning("the hub cannot be told who has signed out; it is tried again", exc_info=True)
                self._is_wanted.set()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _tell_all(self) -> None:
        rows = await self._store.call(lambda database: database.execute("SELECT id, until FROM revocations").fetchall())
        for token_id, until in rows:
            # The tokens of a sign-in end with it, and what has ended needs no revocation.
            if until > time.time():
                answer = await self._hub.post(
                    "/tokens/revoke",
                    json={"jti": token_id, "exp": int(until) + 1},
                    headers={"authorization": f"Bearer {self._token()}"},
                )
                answer.raise_for_status()
            await self._forget(token_id)

    async def _forget(self, token_id: str) -> None:
        await self._store.call(lambda database: database.execute("DELETE FROM revocations WHERE id = ?", (token_id,)))


def revoke(database: sqlite3.Connection, digests: list[bytes]) -> None:
    """Forget sign-ins, by the digests of their cookies, and keep that their tokens are to be revoked."""
    each = [(digest,) for digest in digests]
    database.executemany(
        "INSERT OR IGNORE INTO revocations (id, until) SELECT lower(hex(digest)), until FROM sign_ins WHERE digest = ?",
        each,
    )
    database.executemany("DELETE FROM sign_ins WHERE digest = ?", each)
