"""What an asynchronous ``publish_many`` draws from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, cast

from watertight_sse._publisher._owners import Group
from watertight_sse._to_its_end import by_itself

Put = Callable[[Any], Awaitable[bool]]
"""Takes an item. False if no more are wanted."""


async def go_through(events: AsyncIterable[Any], put: Put, group: Group) -> None:
    """Puts what an asynchronous iterable gives, until it ends, no more is wanted, or the group fails. What was not gone
    through then is left as it is.

    One task drives the source from its first item to its last, as ``async for`` would: its context variables, time limits and
    task groups hold from one item to the next. The group's failure cancels the source where it waits: nobody would take what
    it gives. Cancelling this cancels it also where it has just given something.
    """
    group.failing = asyncio.get_running_loop().create_future()
    drawing = await by_itself(_draw(events, put, group), group.failing)
    if group.error is None:
        drawing.result()
    elif not drawing.cancelled():
        # Whoever stopped it wants to hear of nothing else.
        drawing.exception()


async def _draw(events: AsyncIterable[Any], put: Put, group: Group) -> None:
    async for item in events:
        try:
            is_wanted = await put(item)
        except asyncio.CancelledError as cancelled:
            # Maybe by a time limit or a task group of the source's own, which only the source can tell.
            if group.error is None and isinstance(events, AsyncGenerator):
                await cast("AsyncGenerator[Any, None]", events).athrow(cancelled)
            raise
        if not is_wanted:
            return
