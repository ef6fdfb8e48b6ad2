"""A publisher with asyncio, or one without it that is used from threads: the same calls for both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any

from watertight_sse import Publisher
from watertight_sse._publisher import NewEvent, SessionEnd
from watertight_sse.sync import Publisher as PlainPublisher

_threads = ThreadPoolExecutor(max_workers=256, thread_name_prefix="caller")
"""As many as a test has callers: each of them waits."""


class AnyPublisher:
    """One of the two. Each call of the plain one has a thread of its own, as in a program with threads."""

    def __init__(self, name: str, url: str, **options: Any) -> None:
        """``name`` is ``asyncio`` or ``plain``."""
        self.inner: Any = Publisher(url, **options) if name == "asyncio" else PlainPublisher(url, **options)
        self.is_plain = name == "plain"

    async def publish(self, session: str, data: Any, **options: Any) -> str:
        """As the publisher's."""
        return str(await self._call("publish", session, data, **options))

    async def publish_text(self, session: str, text: str, **options: Any) -> str:
        """As the publisher's."""
        return str(await self._call("publish_text", session, text, **options))

    async def enqueue(self, session: str, data: Any, **options: Any) -> bool:
        """As the publisher's."""
        return bool(await self._call("enqueue", session, data, **options))

    async def publish_many(self, session: str, events: Iterable[Any], **options: Any) -> Any:
        """As the publisher's."""
        return await self._call("publish_many", session, events, **options)

    async def end(
        self, session: str, *, event: NewEvent | None = None, keep: float | None = None
    ) -> SessionEnd:
        """As the publisher's."""
        ended = await self._call("end", session, event=event, keep=keep)
        assert isinstance(ended, SessionEnd)
        return ended

    async def flush(self) -> None:
        """As the publisher's."""
        await self._call("flush")

    async def close(self) -> None:
        """``aclose`` or ``close``."""
        await self._call("close" if self.is_plain else "aclose")

    async def _call(self, name: str, *args: Any, **options: Any) -> Any:
        method = getattr(self.inner, name)
        if self.is_plain:
            call = partial(method, *args, **options)
            return await asyncio.get_running_loop().run_in_executor(_threads, call)
        return await method(*args, **options)

    async def __aenter__(self) -> AnyPublisher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.is_plain:
            await self.inner.__aexit__(kind, error, trace)
        else:
            leave = partial(self.inner.__exit__, kind, error, trace)
            await asyncio.get_running_loop().run_in_executor(_threads, leave)
