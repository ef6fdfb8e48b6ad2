"""Readers of a hub over plain sockets."""

from __future__ import annotations

import socket
from types import TracebackType


class StreamReader:
    """One stream, read as bytes."""

    def __init__(self, address: str, path: str, *headers: str, timeout: float = 10.0) -> None:
        """Asks, and reads the head of the answer."""
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        lines = [f"GET {path} HTTP/1.1", f"host: {address}", "accept: text/event-stream", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.received = ""
        self.read_until("\r\n\r\n")

    @property
    def status(self) -> int:
        """The answer's."""
        return int(self.received.split(" ", 2)[1])

    def read_until(self, text: str) -> str:
        """All that has come, once this text has."""
        while text not in self.received:
            got = self.socket.recv(65_536)
            assert got, f"closed, without {text!r}: {self.received!r}"
            self.received += got.decode()
        return self.received

    def read_all(self) -> str:
        """All that comes until the hub closes."""
        while got := self.socket.recv(65_536):
            self.received += got.decode()
        return self.received

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.socket.close()
