"""Something on the way to a hub, that passes streams on, keeps them back, or breaks them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["pass", "refuse", "buffer", "buffer-body", "freeze"]
"""
===============  ======================================================================
``pass``         hands everything on
``refuse``       502
``buffer``       keeps head and body back until the body is whole
``buffer-body``  hands the head on, and keeps the body back until it is whole
``freeze``       hands nothing on any more, and closes nothing
===============  ======================================================================
"""


class Proxy:
    """Listens on a free port of 127.0.0.1; one request a connection."""

    def __init__(self, port: int) -> None:
        """``port``: the hub's."""
        self.mode: Mode = "pass"
        self.open = 0
        """Requests that are not over yet."""
        self.requests: list[str] = []
        """Every request: its mode, then its method and path."""
        self.cuts: list[int] = []
        """Each of the next streams is reset after so many bytes of its answer."""
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        if self._server is None:
            raise AssertionError("the proxy does not run")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Resets every connection, now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        self.open += 1
        try:
            await self._pass(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.requests.append(f"{self.mode} {method} {path}")
        if self.mode == "refuse":
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        client_gone = asyncio.ensure_future(reader.read(1))
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        passing = asyncio.ensure_future(self._pass_back(head, upstream_reader, upstream, writer))
        try:
            await asyncio.wait({client_gone, passing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            upstream.transport.abort()
            for task in (client_gone, passing):
                task.cancel()
            await asyncio.wait({client_gone, passing})
            for task in (client_gone, passing):
                if not task.cancelled():
                    # Looked at, so that nobody is told of it; a broken connection is what this is about.
                    task.exception()

    async def _pass_back(
        self,
        head: bytes,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        if self.mode == "freeze":
            await asyncio.Event().wait()
        upstream.write(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        await upstream.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        is_stream = b"text/event-stream" in answer
        left = self.cuts.pop(0) if is_stream and self.cuts else None
        mode, kept = self.mode, b""
        if mode == "buffer":
            kept = answer
        else:
            writer.write(answer)
            await writer.drain()
        while chunk := await reader.read(65536):
            if self.mode == "freeze":
                await asyncio.Event().wait()
            if mode in ("buffer", "buffer-body"):
                kept += chunk
                continue
            writer.write(chunk if left is None else chunk[:left])
            await writer.drain()
            if left is not None:
                left -= len(chunk)
                if left <= 0:
                    writer.transport.abort()
                    return
        writer.write(kept)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
