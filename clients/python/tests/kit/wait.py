"""Waiting for what must become true, with a limit. No test sleeps and hopes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""How long anything may take on a busy machine, seconds."""


async def eventually(is_so: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Waits until it is so; fails with ``what`` after ``patience`` seconds."""
    until = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > until:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        await asyncio.sleep(0.005)


def eventually_plain(is_so: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """The same without asyncio."""
    until = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > until:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.005)


async def soon(waiting: Awaitable[T], what: str, patience: float = PATIENCE) -> T:
    """What is awaited; fails with ``what`` after ``patience`` seconds."""
    try:
        return await asyncio.wait_for(waiting, patience)
    except (TimeoutError, asyncio.TimeoutError):
        pass
    raise AssertionError(f"not within {patience:.0f} s: {what}")
