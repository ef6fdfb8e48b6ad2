"""What has to be done in any case, also where the caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_AGAIN = 0.1
"""A task that has not ended is cancelled again after this time, seconds."""


async def to_its_end(closing: Coroutine[Any, Any, None]) -> None:
    """Waits for what has to be done in any case. Cancelling it is heard afterwards."""
    task = asyncio.ensure_future(closing)
    heard: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as cancelled:
            heard = cancelled
    if heard is not None:
        raise heard
    await task


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks until all of them have ended. Once is not always enough: before Python 3.11 libraries with time limits of
    their own may take a cancellation for one of theirs, and go on. Errors of the tasks stay with them.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
