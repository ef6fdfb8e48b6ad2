"""What an asynchronous ``publish_many`` draws from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

from watertight_sse._publisher._owners import Group


class Source:
    """Goes through an asynchronous iterable until it ends or the group fails, whichever is first. What was not gone through is
    left as it is.
    """

    def __init__(self, events: AsyncIterable[Any], group: Group) -> None:
        """Belongs to the running loop."""
        self._failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.failing = self._failing
        self._iterator = aiter(events)

    def __aiter__(self) -> Source:
        """Itself."""
        return self

    async def __anext__(self) -> Any:
        """The next item. Cancelling it, and the group's failure, cancel the source where it waits: nobody would take
        what it gives.
        """
        drawing = asyncio.ensure_future(self._next())
        try:
            await asyncio.wait((drawing, self._failing), return_when=asyncio.FIRST_COMPLETED)
            item = drawing.result() if drawing.done() else _END
        finally:
            if not drawing.done():
                # Once: what the source does to end is the application's, and may take its time.
                drawing.cancel()
                await asyncio.wait((drawing,))
        if item is _END:
            raise StopAsyncIteration
        return item

    async def _next(self) -> Any:
        return await anext(self._iterator, _END)


_END = object()
