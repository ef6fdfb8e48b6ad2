"""What a subscriber of ``serve()`` costs: bytes that the hub charges, and bytes that the process holds.

    python bench/subscribers.py [--subscribers 10000]

The readers are sockets of another process. What the kernel holds for a socket is not the process's. The server gives what their
arrival leaves free in the allocator back by itself, ten seconds after the last time at the latest; that is waited for.
"""

from __future__ import annotations

import argparse
import gc
import resource
import socket
import subprocess
import sys
import time

from watertight_sse.hub import Broadcaster

REQUEST = b"GET /sessions/s/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n"
WARM = 600
"""Subscribers that come and go before: what is made once is not counted. Enough for the server to give memory back."""
PACE_SECONDS = 12.0
"""In this time the server has given free memory back."""


def raise_file_limit() -> None:
    """As far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def crowd(address: str, count: int) -> None:
    """Opens so many streams, says so, waits for an event in each, says so, and ends with its input."""
    raise_file_limit()
    host, port = address.rsplit(":", 1)
    sockets: list[socket.socket] = []
    for _ in range(count):
        reader = socket.create_connection((host, int(port)))
        reader.sendall(REQUEST)
        sockets.append(reader)
    for reader in sockets:
        read_until(reader, b"id: ")
    print("open", flush=True)
    for reader in sockets:
        read_until(reader, b"data: hello")
    print("received", flush=True)
    sys.stdin.readline()


def read_until(reader: socket.socket, text: bytes) -> None:
    """Reads one stream until this came."""
    got = b""
    while text not in got:
        part = reader.recv(4096)
        assert part, "closed"
        got += part


def resident_bytes() -> int:
    """What this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Crowd:
    """Readers in another process."""

    def __init__(self, address: str, count: int) -> None:
        """Opens them."""
        command = [sys.executable, __file__, "--crowd", address, "--subscribers", str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.says("open")

    def says(self, word: str) -> None:
        """Waits until it says so."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said == word, said

    def leave(self) -> None:
        """They go."""
        self._process.communicate("\n", timeout=60)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="What a subscriber of serve() costs.")
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.crowd:
        crowd(asked.crowd, asked.subscribers)
        return
    count = asked.subscribers
    with Broadcaster() as broadcaster, broadcaster.serve(port=0) as server:

        def nobody_is_left() -> None:
            until = time.monotonic() + 30
            while broadcaster.get_stats()["totalSubscribers"]:
                assert time.monotonic() < until, "some are left"
                time.sleep(0.01)

        warm = Crowd(server.addresses[0], WARM)
        broadcaster.broadcast_nowait("s", "hello")
        warm.says("received")
        warm.leave()
        nobody_is_left()
        gc.collect()
        time.sleep(PACE_SECONDS)
        charged, resident = broadcaster.get_stats()["memoryUsageMB"], resident_bytes()
        readers = Crowd(server.addresses[0], count)
        charged_each = (broadcaster.get_stats()["memoryUsageMB"] - charged) * 1024 * 1024 / count
        with_free_each = (resident_bytes() - resident) / count
        time.sleep(PACE_SECONDS)
        resident_each = (resident_bytes() - resident) / count
        begun = time.perf_counter()
        broadcaster.broadcast_nowait("s", "hello")
        called = time.perf_counter() - begun
        readers.says("received")
        seconds = time.perf_counter() - begun
        print(
            f"{count} subscribers of serve(): each {charged_each:.0f} bytes charged, {resident_each:.0f} resident, "
            f"{with_free_each:.0f} right after their arrival"
        )
        print(
            f"one event to all of them: {called * 1000:.1f} ms in the call, {seconds * 1000:.0f} ms until all had read it"
        )
        readers.leave()
        nobody_is_left()
        left = broadcaster.get_stats()
        time.sleep(PACE_SECONDS)
        print(
            f"after they left: {left['totalSubscribers']} subscribers, ledger {left['ledger']['connection']}, "
            f"{(resident_bytes() - resident) / 1024:.0f} KiB more resident than before they came"
        )


if __name__ == "__main__":
    main()
