"""What an asynchronous ``publish_many`` draws from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from watertight_sse._publisher._owners import Group


class Source:
    """Goes through an iterable or an asynchronous one until it ends or the group fails, whichever is first. What was not gone
    through is left as it is.
    """

    def __init__(self, events: Iterable[Any] | AsyncIterable[Any], group: Group) -> None:
        """Raises:
        TypeError: it is neither.
        """
        self._failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.failing = self._failing
        self._later: AsyncIterator[Any] | None = None
        self._now: Iterator[Any] | None = None
        if isinstance(events, AsyncIterable):
            self._later = aiter(events)
        else:
            self._now = iter(events)

    def __aiter__(self) -> Source:
        """Itself."""
        return self

    async def __anext__(self) -> Any:
        """The next item. Cancelling it, and the group's failure, cancel an asynchronous source where it waits: nobody
        would take what it gives.
        """
        if self._failing.done():
            raise StopAsyncIteration
        if self._now is not None:
            # An exception of the iterator that is not its end goes through.
            for item in self._now:
                return item
            raise StopAsyncIteration
        item = await self._draw()
        if item is _END:
            raise StopAsyncIteration
        return item

    async def _draw(self) -> Any:
        drawing = asyncio.ensure_future(_next(self._later))
        try:
            await asyncio.wait((drawing, self._failing), return_when=asyncio.FIRST_COMPLETED)
            return drawing.result() if drawing.done() else _END
        finally:
            if not drawing.done():
                # Once: what the source does to end is the application's, and may take its time.
                drawing.cancel()
                await asyncio.wait((drawing,))


_END = object()


async def _next(iterator: AsyncIterator[Any] | None) -> Any:
    return _END if iterator is None else await anext(iterator, _END)
