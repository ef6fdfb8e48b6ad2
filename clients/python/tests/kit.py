"""Small servers for tests: one that says what a test has it say, a proxy that breaks connections, and the real hub."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import anyio
import httpx

P = ParamSpec("P")

PATIENCE = 30.0
"""How long a test waits for what has to come, seconds."""

CYCLES = int(os.environ.get("WATERTIGHT_CYCLES", "400"))
"""How often a leak is given the chance to show itself; 10,000 is the long form."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def on_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Runs a test on an event loop of its own, and sees that it leaves no task there."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            with anyio.fail_after(4 * PATIENCE + CYCLES / 10):
                await test(*args, **kwargs)
            await eventually(lambda: len(asyncio.all_tasks()) == 1)

        asyncio.run(main())

    return run


async def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        await asyncio.sleep(0.005)


def eventually_blocking(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.005)


class Peer:
    """One connection to a script, in a thread of its own."""

    def __init__(self, connection: socket.socket, script: Script) -> None:
        self._socket = connection
        self._script = script
        self.head = ""
        self.body = b""
        self._rest = b""

    def request(self) -> bool:
        """Reads a request; `False` at the end of the connection."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            part = self._socket.recv(65536)
            if not part:
                return False
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1").lower()
        length = int(self.header("content-length") or 0)
        while len(rest) < length:
            rest += self._socket.recv(65536)
        self.body, self._rest = rest[:length], rest[length:]
        self._script.requests.append((self.head, self.body))
        return True

    def header(self, name: str) -> str | None:
        found = re.search(rf"^{name}: (.*)$", self.head, re.MULTILINE)
        return found[1].strip() if found else None

    def say(self, data: bytes | str) -> None:
        self._socket.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self, status: str, body: str = "", headers: str = "") -> None:
        self.say(f"HTTP/1.1 {status}\r\ncontent-length: {len(body.encode())}\r\n{headers}\r\n{body}")

    def closed(self) -> None:
        """Waits until the other side hangs up."""
        with contextlib.suppress(OSError):
            while self._socket.recv(65536):
                pass

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class Script:
    """A server that does for each connection, in a thread, what a function says."""

    def __init__(self, serve: Callable[[Peer], None]) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self.open = 0
        self._serve = serve
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.open += 1
                self._sockets.add(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            thread.start()
            self._threads = [*(thread for thread in self._threads if thread.is_alive()), thread]

    def _run(self, connection: socket.socket) -> None:
        # A client that hangs up in the middle is what many tests are about.
        with contextlib.suppress(OSError), connection:
            self._serve(Peer(connection, self))
        with self._lock:
            self.open -= 1
            self._sockets.discard(connection)

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in `accept` wakes when the socket is shut down, not when it is closed.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)


class Proxy:
    """Passes bytes on to a port, and breaks connections when told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.is_refusing = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            if self.is_refusing:
                front.close()
                continue
            try:
                back = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                front.close()
                continue
            with self._lock:
                self._pairs.append((front, back))
            for one, other in ((front, back), (back, front)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def break_all(self) -> None:
        """Resets all connections there are."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_all()
        self._accepting.join(PATIENCE)


def binary() -> str:
    """The hub: `WATERTIGHT_BIN`, or the one that cargo has built."""
    found = os.environ.get("WATERTIGHT_BIN") or str(Path(__file__).parents[3] / "target/debug/watertight")
    assert Path(found).exists(), f"{found} is not there: build it, or set WATERTIGHT_BIN"
    return found


class Hub:
    """The real hub as a process."""

    def __init__(self, *flags: str, port: int = 0) -> None:
        self._flags = flags
        self.port = port
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}", *self._flags]
        # The hub takes what begins so for settings of its own, and refuses what it does not know.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WATERTIGHT_")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            process.wait(PATIENCE)
            process.stdout.close()
            raise AssertionError(f"the hub did not start: {said}")
        threading.Thread(target=_drain, args=(process,), daemon=True).start()
        eventually_blocking(lambda: self._is_live(process))
        return process

    def _is_live(self, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None, "the hub ended"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/live").status_code == 200
        return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stats(self) -> Any:
        return httpx.get(f"{self.url}/stats").json()

    @property
    def subscribers(self) -> int:
        return int(self.stats()["totalSubscribers"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def restart(self) -> None:
        """On the same port."""
        self._process = self._start()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.kill()


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for _ in lines:
            pass
