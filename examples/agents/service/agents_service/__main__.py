"""Runs the service on loopback: ``python -m agents_service``."""

from __future__ import annotations

import sys

import uvicorn

from .app import create_app
from .settings import Settings


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        print(f"agents: {error}", file=sys.stderr)
        return 64
    uvicorn.run(create_app(settings), host="127.0.0.1", port=settings.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
