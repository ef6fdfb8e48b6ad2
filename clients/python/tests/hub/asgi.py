"""One request to an application, without a socket: what it sends is read step by step, and the client can leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Request:
    """A GET that stays open."""

    def __init__(self, app: App, path: str, headers: dict[str, str] | None = None) -> None:
        """Asks at once."""
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._leaves = asyncio.Event()
        self._asked = False
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(key.encode(), value.encode()) for key, value in (headers or {}).items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self._sent.put_nowait(message)

    async def next(self) -> Message:
        """What the application sends next."""
        return await asyncio.wait_for(self._sent.get(), 10)

    async def text(self) -> str:
        """The next part of the body."""
        return str((await self.next())["body"], "utf-8")

    async def leave(self) -> None:
        """The client goes away, and the application is done."""
        self._leaves.set()
        await asyncio.wait_for(self.task, 10)
