"""How often somebody may try to sign in. Each try costs a hash: 16 MiB, and a core for a twentieth of a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

TRIES_MAX = 20
"""Tries as one user that may fail within ``TRIES_SECONDS``."""
TRIES_SECONDS = 60.0
LINE_MAX = 20
"""How many may wait for their hash. One is made at a time, so this is about a second."""
LINE_SECONDS = 1.0


class TooManyTriesError(Exception):
    """It was tried too often. After ``retry_after`` seconds it may be tried again."""

    def __init__(self, retry_after: float) -> None:
        """Say when."""
        super().__init__(retry_after)
        self.retry_after = retry_after


class Tries:
    """Counts tries by user, and lets one at a time through, so guesses leave room for everything else."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock in seconds."""
        self._clock = clock
        # By user, whether there is one or not: how many tries, and until when they count. The line bounds it.
        self._counts: dict[str, tuple[int, float]] = {}
        self._in_line = 0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def take(self, user: str) -> AsyncGenerator[None, None]:
        """Wait for the turn of a try.

        :raises TooManyTriesError: if there were too many as this user, or too many are waiting.
        """
        if self._in_line >= LINE_MAX:
            raise TooManyTriesError(LINE_SECONDS)
        self._count(user)
        self._in_line += 1
        try:
            async with self._turn:
                yield
        finally:
            self._in_line -= 1

    def forget(self, user: str) -> None:
        """Begin anew: it was the right password."""
        self._counts.pop(user, None)

    def _count(self, user: str) -> None:
        now = self._clock()
        self._counts = {each: (count, until) for each, (count, until) in self._counts.items() if until > now}
        count, until = self._counts.get(user, (0, now + TRIES_SECONDS))
        if count >= TRIES_MAX:
            raise TooManyTriesError(until - now)
        self._counts[user] = (count + 1, until)
