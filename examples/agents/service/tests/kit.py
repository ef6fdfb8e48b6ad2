"""What the tests share: a hub that does what a test wants, and a store in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from watertight_sse import RequestError, StoppedError

from agents_service.desk import Desk
from agents_service.store import Store

PACE = 0.002
"""Agents of tests are in a hurry."""


class StandInHub:
    """Takes what is published, and remembers it. The real one is in the tests of the page."""

    def __init__(self) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.ended: list[str] = []
        self.max_event_bytes = 1_000_000
        self._is_there = asyncio.Event()
        self._is_there.set()

    def go_away(self) -> None:
        """Answer nobody until ``come_back``, as a publisher has it that asks again and again."""
        self._is_there.clear()

    def come_back(self) -> None:
        self._is_there.set()

    async def publish(self, session: str, data: Any, *, type: str) -> str:
        await self._is_there.wait()
        if len(json.dumps(data)) > self.max_event_bytes:
            raise RequestError("the event is too large", status=413, code="EVENT_TOO_LARGE")
        self.events.setdefault(session, []).append(data)
        return "id"

    async def publish_many(self, session: str, events: Iterable[Any], *, type: str) -> int:
        """Take up to the first that is refused, as batches may be of any size."""
        count = 0
        for count, event in enumerate(events, start=1):
            try:
                await self.publish(session, event, type=type)
            except RequestError as refused:
                raise StoppedError(count - 1, None) from refused
        return count

    async def end(self, session: str) -> None:
        await self._is_there.wait()
        self.ended.append(session)

    def numbers(self, session: str) -> list[int]:
        """Return the numbers of the steps that a session was told."""
        return [event["n"] for event in self.events.get(session, [])]


@asynccontextmanager
async def open_store(folder: Path) -> AsyncGenerator[Store, None]:
    store = Store(folder / "agents.db")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_desk(folder: Path, hub: StandInHub, pace: float = PACE) -> AsyncGenerator[tuple[Desk, Store], None]:
    """Open a desk, as the service does at its start, and close it as at its stop."""
    async with open_store(folder) as store:
        desk = Desk(store, hub, pace)
        await desk.open()
        try:
            yield desk, store
        finally:
            await desk.close()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so, for 30 s at most."""
    deadline = time.monotonic() + 30
    while not await is_so():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.005)


async def until_told(store: Store) -> None:
    """Wait until the hub knows the end of every run."""

    async def is_told() -> bool:
        return not await store.untold()

    await until(is_told)
