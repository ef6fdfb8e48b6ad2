"""Ports for servers that must be told theirs, or that come back at the same place."""

from __future__ import annotations

import random
import socket

PORTS = range(10_000, 32_768)
"""Below those that the kernel gives to connections and to whoever asks for any port (``ip_local_port_range``): a port of these
is still free when a server that was stopped is started again, and no connection can take it meanwhile."""

_TRIES = 100


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens. Another program may still take it before it is used: who starts a server
    there sees whether it did.
    """
    for port in random.SystemRandom().sample(PORTS, _TRIES):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")
