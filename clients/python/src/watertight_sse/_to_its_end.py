"""What has to be done in any case, also where the caller is cancelled; and whose a cancellation is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
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


async def by_itself(
    work: Coroutine[Any, Any, _T], until: asyncio.Future[None] | None = None
) -> asyncio.Task[_T]:
    """Does the work in a task of its own, and gives that task when it has ended: a cancellation in the work is then none of
    the caller. ``until``: when this is done, the work is cancelled.

    Each cancellation of the caller is passed on to the work, and raised when that has ended.
    """
    task = asyncio.ensure_future(work)
    awaited: set[asyncio.Future[Any]] = {task} if until is None else {task, until}
    heard: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as cancelled:
            heard = cancelled
            task.cancel()
            continue
        if until is not None and until.done() and until in awaited:
            # Once: what the work does to end may take its time.
            awaited = {task}
            task.cancel()
    if heard is not None:
        if not task.cancelled():
            # This way the loop does not complain of an error that nobody heard.
            task.exception()
        raise heard
    return task
