"""A server that does as a test tells it: each request is handed over as a ``Peer``, and answered with bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from tests.kit.wait import eventually, soon

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
HUB_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nheartbeat-interval: 15\r\n\r\n"


class Peer:
    """One request of a client, and the way back to it."""

    def __init__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ):
        """The request, and the way back."""
        self.method = method
        self.path = path
        self.headers = headers
        """Names in lower case."""
        self.body = body
        self.is_open = True
        """Whether the client has not hung up."""
        self._writer = writer
        self._is_answered = asyncio.Event()

    async def say(self, *chunks: bytes | str) -> None:
        """Sends bytes as they are, each chunk by itself."""
        for chunk in chunks:
            self._writer.write(chunk.encode() if isinstance(chunk, str) else chunk)
            try:
                await self._writer.drain()
            except ConnectionError:
                return

    async def stream(self, *chunks: bytes | str, hub: bool = False) -> Peer:
        """Answers with the head of a stream (a hub's, if ``hub``), and these chunks."""
        await self.say(HUB_HEAD if hub else STREAM_HEAD, *chunks)
        return self

    async def trickle(self, *chunks: bytes) -> None:
        """Each chunk as a packet of its own, as far as the kernel lets us."""
        await self.say(STREAM_HEAD)
        for chunk in chunks:
            await self.say(chunk)
            await asyncio.sleep(0.002)

    async def answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes | str = b""
    ) -> None:
        """Answers with something else than a stream, and hangs up."""
        data = body.encode() if isinstance(body, str) else body
        fields = {"content-length": str(len(data)), "connection": "close", **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await self.say(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + data)
        self.hang_up()

    def hang_up(self) -> None:
        """Ends the answer."""
        self._is_answered.set()

    def reset(self) -> None:
        """Breaks the connection."""
        self._writer.transport.abort()
        self._is_answered.set()

    async def closed(self) -> None:
        """Waits until the client has hung up."""
        await eventually(lambda: not self.is_open, "the client hangs up")

    async def over(self) -> None:
        """For the server: waits until the test is done with it."""
        await self._is_answered.wait()


class Server:
    """Listens on a free port of 127.0.0.1. One request a connection."""

    def __init__(self, serve: Callable[[Peer], object] | None = None) -> None:
        """``serve`` is told of each peer; without it, ``accept`` gives them one after the other."""
        self.peers: list[Peer] = []
        self._serve = serve
        self._waiting: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """Its port."""
        if self._server is None:
            raise AssertionError("the server does not run")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def accept(self) -> Peer:
        """The next request."""
        return await soon(self._waiting.get(), "a request comes")

    async def accept_unless(self, waiting: asyncio.Future[Any]) -> Peer | None:
        """The next request, or ``None`` when ``waiting`` is done without a further one: a client that has a time limit may ask
        more often than a test expects.
        """
        accepting = asyncio.ensure_future(self.accept())
        await asyncio.wait({accepting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if accepting.done():
            return accepting.result()
        accepting.cancel()
        await asyncio.wait({accepting})
        return None

    def open(self) -> int:
        """Clients that have not hung up."""
        return sum(peer.is_open for peer in self.peers)

    async def start(self, port: int = 0) -> Server:
        """Listens."""
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", port)
        return self

    async def stop(self) -> None:
        """Breaks all connections, and listens no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for peer in self.peers:
            peer.reset()
        if self._connections:
            await asyncio.wait(self._connections)

    async def __aenter__(self) -> Server:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        self._writers.add(writer)
        try:
            request = await _read_request(reader)
            if request is None:
                return
            peer = Peer(*request, writer)
            self.peers.append(peer)
            if self._serve is None:
                self._waiting.put_nowait(peer)
            else:
                self._serve(peer)
            watching = asyncio.ensure_future(_until_gone(reader, peer))
            try:
                await peer.over()
            finally:
                watching.cancel()
                await asyncio.wait({watching})
                peer.is_open = False
        except ConnectionError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()


async def _until_gone(reader: asyncio.StreamReader, peer: Peer) -> None:
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        pass
    peer.is_open = False


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *fields = head.decode("utf-8", "surrogateescape").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (field.partition(":") for field in fields if field)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return method, path, headers, body
