"""The kit's ports."""

from __future__ import annotations

from pathlib import Path

from tests.kit.ports import PORTS, free_port


def test_a_free_port_is_none_that_a_connection_can_get() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert PORTS.stop <= lowest, f"the kernel gives ports from {lowest} on"
    assert free_port() in PORTS
