"""A time limit for what is awaited, which can also be ended from outside. For one task at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Limit:
    """Bounds one wait after the other. ``interrupt`` ends the one that there is, as if its time were up."""

    def __init__(self) -> None:
        """No wait yet."""
        # What is waited for in; which of the two, depends on the version of Python.
        self._scope: object = None
        self._task: asyncio.Future[Any] | None = None

    if sys.version_info >= (3, 11):

        async def within(self, seconds: float, waiting: Coroutine[Any, Any, T]) -> T:
            """What the coroutine gives.

            Raises:
                TimeoutError: it took longer, or was interrupted; it was cancelled and has ended.
                asyncio.CancelledError: the caller was cancelled, and the coroutine with it.
            """
            async with asyncio.timeout(max(seconds, 0)) as scope:
                self._scope = scope
                try:
                    return await waiting
                finally:
                    self._scope = None

        def interrupt(self) -> None:
            """Ends the wait that there is."""
            scope = self._scope
            if isinstance(scope, asyncio.Timeout) and not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

    else:

        async def within(self, seconds: float, waiting: Coroutine[Any, Any, T]) -> T:
            """What the coroutine gives.

            Raises:
                TimeoutError: it took longer, or was interrupted; it was cancelled and has ended.
                asyncio.CancelledError: the caller was cancelled, and the coroutine with it.
            """
            # Before Python 3.11 nobody can tell a cancellation from outside from one that a time limit makes in
            # the same task: so the wait has a task of its own.
            task = asyncio.ensure_future(waiting)
            self._task = task
            try:
                await asyncio.wait({task}, timeout=max(seconds, 0))
            finally:
                self._task = None
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})
            if task.cancelled():
                raise TimeoutError
            return task.result()

        def interrupt(self) -> None:
            """Ends the wait that there is."""
            task = self._task
            if task is not None:
                task.cancel()

    async def sleep(self, seconds: float) -> None:
        """Waits, but not beyond an interruption."""
        try:
            await self.within(seconds, _forever())
        except TimeoutError:
            return


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()
