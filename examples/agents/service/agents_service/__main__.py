"""Runs the service on loopback: ``python -m agents_service``."""

from __future__ import annotations

import socket
import sys

import uvicorn

from .app import create_app
from .settings import Settings

STARTUP_FAILED = 3


class _Server(uvicorn.Server):
    """Says on standard output when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"agents: listening on http://{self.config.host}:{self.config.port}", flush=True)


def main() -> int:
    """Run until SIGINT or SIGTERM.

    :returns: the exit code: 64 if a setting is missing or wrong, 3 if it could not start.
    """
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        print(f"agents: {error}", file=sys.stderr)
        return 64
    server = _Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=settings.port, log_level="warning"))
    server.run()
    return 0 if server.started else STARTUP_FAILED


if __name__ == "__main__":
    sys.exit(main())
