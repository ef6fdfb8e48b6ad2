"""Two hundred relayed streams, slow readers among them, cost the application nothing that it does not get back."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.kit.wait import eventually
from tests.web.kit import protected_hub
from tests.web.recipes import Uvicorn, memory_kb, write_recipe

STREAMS = 200
EVENT = "Z" * 4000
"""Of a letter that nothing else in a stream has."""
ROUNDS = 2
EVENTS = 500
PER_STREAM_KB = 300
"""More than a relayed stream costs (about 110 kB while events come in a flood, most of it buffers of both connections), and far
less than the events of a round would."""
LEFT_KB = 6_000
"""What the allocator may keep after a round: a copy of what a reader missed would be 400 MB."""


async def connect(url: str, *, reads: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader. One that does not read has a small window."""
    parts = urlsplit(url)
    sock = socket.socket()
    if not reads:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=8192)
    writer.write(
        b"GET /stream HTTP/1.1\r\nhost: app\r\ncookie: user=ada\r\naccept: text/event-stream\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_two_hundred_streams_and_slow_readers_among_them_give_everything_back(tmp_path: Path) -> None:
    hub, _ = protected_hub(tmp_path, "--write-deadline", "20s")
    write_recipe("fastapi", tmp_path)
    with hub, Uvicorn("app", hub.url, tmp_path) as app:
        rested: list[int] = []
        for _ in range(ROUNDS):
            before = memory_kb(app.pid)
            peers = [await connect(app.url, reads=number % 10 != 0) for number in range(STREAMS)]
            await eventually(lambda: hub.subscribers() == STREAMS, "all are there")
            counts = [0] * STREAMS
            peak = 0

            async def read(number: int, reader: asyncio.StreamReader, counts: list[int] = counts) -> None:
                while chunk := await reader.read(8192):
                    counts[number] += chunk.count(b"Z")

            tasks = [
                asyncio.create_task(read(number, reader))
                for number, (reader, _) in enumerate(peers)
                if number % 10 != 0
            ]
            for _ in range(EVENTS // 50):
                await asyncio.to_thread(hub.publish, "notes/ada", [EVENT] * 50)
                peak = max(peak, memory_kb(app.pid))
            quick = [number for number in range(STREAMS) if number % 10 != 0]
            await eventually(partial(have_all, counts, quick), "those who read got all", patience=60)
            assert peak - before < STREAMS * PER_STREAM_KB, "nothing is kept for readers that do not read"
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for _, writer in peers:
                writer.transport.abort()
            await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")
            await eventually(lambda: len(sockets(app.pid)) <= 4, "no socket is left")
            rested.append(memory_kb(app.pid))
            print(f"{(peak - before) / STREAMS:.0f} kB more for each stream at most; at rest {rested} kB")
        assert rested[-1] - rested[0] < LEFT_KB, f"memory is back after each round: {rested} kB"
        app.stop()
        assert any("Application shutdown complete" in line for line in app.lines), app.lines


def have_all(counts: list[int], readers: list[int]) -> bool:
    """Whether each of the readers got every byte of the events."""
    return {counts[number] for number in readers} == {EVENTS * len(EVENT)}


def sockets(pid: int) -> list[str]:
    """Sockets that a process has open."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.append(target)
    return found
