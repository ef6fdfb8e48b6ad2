"""What a crowd leaves free in the allocator goes back to the system."""

from __future__ import annotations

import platform
import socket

from watertight_sse.hub import Broadcaster, Server

from .ledger import eventually_plain

IS_DUE = platform.libc_ver()[0] == "glibc"
"""Other allocators do it by themselves."""


def come_and_go(server: Server, count: int) -> None:
    """So many connections, one after the other."""
    host, port = server.addresses[0].rsplit(":", 1)
    for _ in range(count):
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_free_memory_is_given_back_after_a_crowd_and_not_without() -> None:
    with Broadcaster() as broadcaster, broadcaster.serve(port=0) as server:
        native = broadcaster._server  # pyright: ignore[reportPrivateUsage]
        assert native is not None
        come_and_go(server, 400)
        after = broadcaster.get_stats()["uptimeMs"] + 2_100
        eventually_plain(lambda: broadcaster.get_stats()["uptimeMs"] > after, "it was looked at twice")
        assert native.trims == 0
        come_and_go(server, 1_600)
        # More than once, if the crowd takes longer than the pause between two times.
        eventually_plain(lambda: (native.trims > 0) == IS_DUE, "it was given back")
