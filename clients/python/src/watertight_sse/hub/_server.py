"""The hub's own accept loop in the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, TypeAlias

Setting: TypeAlias = "str | bool | int | float | Iterable[str]"
"""A value of a setting, as the hub's configuration has it: ``"30s"``, ``True``, ``["https://app.example.com"]``."""

_PORT_MAX: Final = 65_535


def listening(host: str, port: int, settings: dict[str, Setting]) -> list[tuple[str, str]]:
    """Settings as the hub takes them, with where it is to listen."""
    if not 0 <= port <= _PORT_MAX:
        raise ValueError(f"port = {port}: 0 (a free one) to {_PORT_MAX} would do")
    listen = host if host.startswith("unix:") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [("listen", listen), *((key, written(value)) for key, value in settings.items())]


def written(value: Setting) -> str:
    """The value as it stands on the hub's command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return ",".join(value)


class Server:
    """A hub that is served. Closing it stops the broadcaster, for they are one hub."""

    def __init__(self, addresses: list[str], stop: Callable[[float], None]) -> None:
        """Made by a broadcaster."""
        self.addresses = addresses
        """Where it listens: ``IP:PORT``, or ``unix:/PATH``."""
        self._stop = stop

    @property
    def url(self) -> str:
        """What stands before the paths of its routes; ``unix:/PATH`` for a Unix socket."""
        address = self.addresses[0]
        return address if address.startswith("unix:") else f"http://{address}"

    def close(self, grace: float = 5.0) -> None:
        """Tells every reader, cuts off after ``grace`` seconds those who are not done, and waits for that."""
        self._stop(grace)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)
