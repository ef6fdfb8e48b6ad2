"""An application under uvicorn in the test's own event loop, and a protected hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tests.kit.hub import HubProcess
from tests.kit.wait import eventually, soon
from watertight_sse.tokens import Minter

SECRET = "0123456789abcdef0123456789abcdef"


def protected_hub(tmp_path: Path, *options: str) -> tuple[HubProcess, Minter]:
    """A hub that needs tokens, and who mints them."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    minter = Minter(secret_file=file)
    hub = HubProcess("--token-secret-file", str(file), *options)
    hub.use_token(minter.mint(admin=True, publish=["sessions/**"], subscribe=["sessions/**"], lifetime=600))
    return hub, minter


class App:
    """A running application."""

    def __init__(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """``serving`` is the server's task."""
        self.server = server
        self.serving = serving
        sockets = server.servers[0].sockets
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"

    def connections(self) -> int:
        """Connections that it has."""
        return len(self.server.server_state.connections)

    async def stop(self) -> None:
        """As a signal would: it takes no more, and ends when its streams have."""
        self.server.should_exit = True
        await soon(self.serving, "uvicorn has ended")


@asynccontextmanager
async def run(app: Any) -> AsyncGenerator[App, None]:
    """Serves it on a free port. Fails if it does not end in time."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started or serving.done(), "uvicorn listens")
    running = App(server, serving)
    try:
        yield running
    finally:
        await running.stop()


def client(url: str, **options: Any) -> httpx.AsyncClient:
    """A browser of a sort: it has a cookie and a token of the user's."""
    headers = {"cookie": "user=ada; session=users-own", "authorization": "Bearer users-own"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False, **options)
