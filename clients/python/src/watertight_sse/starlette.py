"""For applications in Starlette: where a page watches, with which token, from which id; and streams relayed through a route.

Needs ``pip install watertight-sse[starlette]``. FastAPI has ``watertight_sse.fastapi``.

    gateway = Gateway("http://127.0.0.1:8080", Minter(secret_file="secret"), public="https://events.example.com")
    routes = [watch_route("/watch/{session:path}", gateway, user=signed_in, may_watch=owns, snapshot=state_of)]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from watertight_sse._web._gateway import Gateway, Snapshot
from watertight_sse._web._position import Position
from watertight_sse._web._problem import GatewayError, problem_handler
from watertight_sse._web._route import MayWatch, SnapshotOf, settled, watch_as
from watertight_sse._web._watch import Watch

__all__ = [
    "Gateway",
    "GatewayError",
    "MayWatch",
    "Position",
    "Snapshot",
    "SnapshotOf",
    "UserOf",
    "Watch",
    "add_problem_handler",
    "problem_handler",
    "relay",
    "watch_route",
]

UserOf: TypeAlias = Callable[[Request], "str | Awaitable[str | None] | None"]
"""Who has signed in, by name; ``None`` if nobody has."""


def relay(request: Request, session: str, gateway: Gateway) -> Response:
    """As :meth:`Gateway.relay`."""
    return gateway.relay(request, session)


def add_problem_handler(app: Starlette) -> None:
    """Lets ``app`` answer each ``GatewayError`` that a route raises as a problem document."""
    app.add_exception_handler(GatewayError, problem_handler)


def watch_route(
    path: str,
    gateway: Gateway,
    *,
    user: UserOf,
    may_watch: MayWatch,
    snapshot: SnapshotOf | None = None,
) -> Route:
    """The route that answers a page's question where it watches: ``GET path``, with ``{session}`` or ``{session:path}`` in it.

    Its answer is ``Watch.json()``; 401 where nobody has signed in, 403 where ``may_watch`` says no, and what
    :meth:`Gateway.watch` raises, all as problem documents. The three functions may be ``async``; plain ones are called in
    the event loop.
    """

    async def watch(request: Request) -> Response:
        session: str = request.path_params["session"]
        try:
            who = await settled(user(request))
            if who is None:
                return GatewayError(401, "UNAUTHORIZED", "nobody has signed in").response()
            return (await watch_as(gateway, session, who, may_watch, snapshot)).response()
        except GatewayError as error:
            return error.response()

    return Route(path, watch, methods=["GET"])
