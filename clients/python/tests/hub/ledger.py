"""Looks into a hub's ledger, and waits for what threads of the hub do by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from watertight_sse.hub import Broadcaster

DEADLINE_SECONDS = 10.0


def assert_balanced(broadcaster: Broadcaster) -> None:
    """Nobody holds anything any more, and the counting adds up."""
    stats = broadcaster.get_stats()
    for kind, counts in stats["ledger"].items():
        assert counts["opened"] - counts["closed"] == counts["live"], (kind, counts)
    for kind in ("subscription", "timer", "connection", "request"):
        assert stats["ledger"][kind]["live"] == 0, (kind, stats["ledger"][kind])
    assert stats["memoryByOwner"]["subscribers"] == 0, stats["memoryByOwner"]
    assert stats["totalSubscribers"] == 0


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Waits until it holds, with a deadline."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < until, f"not in {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.005)


def eventually_plain(holds: Callable[[], bool], what: str) -> None:
    """The same, in a thread."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < until, f"not in {DEADLINE_SECONDS} s: {what}"
        time.sleep(0.005)


def resident_bytes() -> int:
    """What the process holds in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
