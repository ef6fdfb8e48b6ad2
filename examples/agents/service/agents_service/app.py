"""All of it, as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from watertight_sse import Publisher
from watertight_sse.fastapi import Gateway, add_problem_handler
from watertight_sse.tokens import Minter

from .accounts import DEMO_USERS, Accounts
from .desk import Desk
from .revocations import Revocations
from .routes import Parts, router
from .settings import Settings
from .store import Store

SERVICE_TOKEN_SECONDS = 600
CLOSE_SECONDS = 3
HUB_SECONDS = 5
"""How long the hub may take for an answer."""


def create_app(settings: Settings) -> FastAPI:
    """Return the application. What it holds is opened when it starts, and given back when it stops."""
    minter = Minter(secret_file=settings.secret_file, lifetime=settings.token_lifetime)

    def service_token() -> str:
        """Mint the service's own token: it publishes to every run and list, ends runs and revokes tokens (`admin`)."""
        return minter.mint(publish=["sessions/run-*", "sessions/runs-*"], admin=True, lifetime=SERVICE_TOKEN_SECONDS)

    store = Store(settings.database)
    accounts = Accounts(store, DEMO_USERS)
    # Asks for ever: what an agent did is told, however long the hub is away. What waits is bounded, by the desk. It
    # closes quickly: what is not told by then is kept, and the next start tells it.
    publisher = Publisher(settings.hub, token=service_token, give_up_after=None, close_timeout=CLOSE_SECONDS)
    desk = Desk(store, publisher, settings.pace)
    gateway = Gateway(settings.hub, minter, public=settings.hub_public)
    hub = httpx.AsyncClient(base_url=settings.hub, timeout=HUB_SECONDS, trust_env=False)
    revocations = Revocations(store, hub, service_token)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        await store.open()
        try:
            async with gateway, publisher, hub:
                await desk.open()
                await revocations.open()
                try:
                    yield
                finally:
                    await revocations.close()
                    await desk.close()
        finally:
            await store.close()

    app = FastAPI(title="Agents", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_problem_handler(app)
    app.state.parts = Parts(accounts, desk, gateway, minter, revocations)
    app.include_router(router)
    if settings.page is not None:
        app.mount("/", StaticFiles(directory=settings.page, html=True))
    app.add_middleware(_Headers, hub=settings.hub_public)
    return app


class _Headers:
    """Says in every answer what the page may do: nothing but ask this service and the hub."""

    def __init__(self, app: ASGIApp, hub: str) -> None:
        address = urlsplit(hub)
        policy = (
            f"default-src 'self'; connect-src 'self' {address.scheme}://{address.netloc}; img-src 'self' data:; "
            "frame-ancestors 'none'"
        )
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
                if str(scope.get("path", "")).startswith("/api"):
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        await self._app(scope, receive, send_with_headers)
