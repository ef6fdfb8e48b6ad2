"""One face for both variants of the subscription, so that each promise is tested of both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Literal, TypeAlias

import watertight_sse
import watertight_sse.sync
from tests.kit.wait import PATIENCE, soon
from watertight_sse import ConnectionStatus, Event, Gap

Variant: TypeAlias = Literal["asyncio", "plain"]
VARIANTS: tuple[Variant, ...] = ("asyncio", "plain")

END = "end"
"""What a reader gives when the loop has ended normally."""


class Reader:
    """Reads one subscription, item by item."""

    def __init__(self, variant: Variant, *args: Any, **options: Any) -> None:
        """The arguments are those of ``subscribe``."""
        self.statuses: list[ConnectionStatus] = []
        """All that ``on_state`` was told."""
        options.setdefault("on_state", self.statuses.append)
        self.variant = variant
        self._asyncio: watertight_sse.Subscription | None = None
        self._plain: watertight_sse.sync.Subscription | None = None
        self._executor: ThreadPoolExecutor | None = None
        if variant == "asyncio":
            self._asyncio = watertight_sse.subscribe(*args, **options)
        else:
            self._plain = watertight_sse.sync.subscribe(*args, **options)
            self._executor = ThreadPoolExecutor(1)

    @property
    def subscription(self) -> watertight_sse.Subscription | watertight_sse.sync.Subscription:
        """Whichever it is."""
        subscription = self._asyncio or self._plain
        if subscription is None:
            raise AssertionError("there is none")
        return subscription

    @property
    def state(self) -> str:
        """The last one that ``on_state`` was told."""
        return self.statuses[-1].state if self.statuses else "idle"

    @property
    def states(self) -> list[str]:
        """The states of ``statuses``."""
        return [status.state for status in self.statuses]

    def start_next(self) -> asyncio.Future[Event | Gap | str]:
        """Waits for the next item in the background."""
        if self._asyncio is not None:
            return asyncio.ensure_future(_next(self._asyncio))
        plain = self._plain
        if plain is None:
            raise AssertionError("there is none")
        return asyncio.get_running_loop().run_in_executor(self._executor, lambda: next(plain, END))

    async def next(self, patience: float = PATIENCE) -> Event | Gap | str:
        """The next item, or ``END``."""
        try:
            return await soon(self.start_next(), "an item comes", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; so far: {self.statuses}") from error

    async def event(self, patience: float = PATIENCE) -> Event:
        """The next item, which has to be an event."""
        item = await self.next(patience)
        assert isinstance(item, Event), item
        return item

    async def gap(self) -> Gap:
        """The next item, which has to be a gap."""
        item = await self.next()
        assert isinstance(item, Gap), item
        return item

    async def data(self, count: int) -> list[str]:
        """The data of the next so many events."""
        return [(await self.event()).data for _ in range(count)]

    async def close(self) -> None:
        """Gives the connection back; of the plain one, from another thread than the one that reads."""
        if self._asyncio is not None:
            await self._asyncio.aclose()
        elif self._plain is not None:
            closing = threading.Thread(target=self._plain.close)
            closing.start()
            await asyncio.get_running_loop().run_in_executor(None, closing.join)

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if self._executor is not None:
            # Its thread ends as soon as the subscription that was closed lets it.
            await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)


async def _next(subscription: watertight_sse.Subscription) -> Event | Gap | str:
    return await anext(subscription, END)


MakeReader: TypeAlias = Callable[..., Reader]
