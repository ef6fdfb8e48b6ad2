"""What has to be done in any case, also where the caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


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
