"""For applications in FastAPI: dependencies and routes that tell a page where it watches, and streams relayed through a route.

Needs ``pip install watertight-sse[fastapi]``.

    gateway = Gateway("http://127.0.0.1:8080", Minter(secret_file="secret"), public="https://events.example.com")
    app.include_router(watch_router(gateway, user=signed_in, may_watch=owns, snapshot=state_of))
"""

# Without postponed annotations: FastAPI reads those of the inner functions, which name what the outer ones were given.
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from watertight_sse._web._gateway import Gateway, Snapshot
from watertight_sse._web._position import Position
from watertight_sse._web._problem import GatewayError, problem_handler
from watertight_sse._web._route import MayWatch, SnapshotOf, watch_as
from watertight_sse._web._watch import Watch
from watertight_sse.starlette import add_problem_handler, relay
from watertight_sse.tokens import IssuedToken

__all__ = [
    "Gateway",
    "GatewayError",
    "IssuedToken",
    "MayWatch",
    "Position",
    "Snapshot",
    "SnapshotOf",
    "Watch",
    "add_problem_handler",
    "problem_handler",
    "relay",
    "token_dependency",
    "watch_router",
]


def _named(signed_in: object) -> str:
    """The name of a user that is one.

    Raises:
        GatewayError: 401: nobody has signed in.
        TypeError: what stands for the user is no name. Nothing else of it is to get into a token.
    """
    if signed_in is None:
        raise GatewayError(401, "UNAUTHORIZED", "nobody has signed in")
    if not isinstance(signed_in, str):
        raise TypeError(
            f"the user is a {type(signed_in).__name__}, not a name: name=lambda user: user.username, or what it is there"
        )
    return signed_in


def token_dependency(
    gateway: Gateway,
    *,
    user: Callable[..., Any],
    sessions: Callable[[Any], Iterable[str]],
    name: Callable[[Any], str] = _named,
) -> Callable[..., IssuedToken | None]:
    """A dependency that mints a short token for who has signed in: ``Annotated[IssuedToken, Depends(hub_token)]``.

    Args:
        gateway: mints it; the dependency gives ``None`` at an open hub.
        user: the application's own dependency for who has signed in. It refuses those who have not.
        sessions: which sessions that user may read, at most 64.
        name: the user's name for the hub (``sub``). Default: ``user`` gives it as a text; ``None`` is answered with 401.
    """

    def hub_token(signed_in: Annotated[Any, Depends(user)]) -> IssuedToken | None:
        return gateway.token(name(signed_in), sessions(signed_in))

    return hub_token


def watch_router(  # noqa: PLR0913 - by name, and each with a default
    gateway: Gateway,
    *,
    user: Callable[..., Any],
    may_watch: MayWatch,
    snapshot: SnapshotOf | None = None,
    name: Callable[[Any], str] = _named,
    path: str = "/watch/{session:path}",
) -> APIRouter:
    """A router with the route that answers a page's question where it watches a session.

    Its answer is ``Watch.json()``. Whoever has not signed in is refused by ``user``, the application's own dependency; 403
    where ``may_watch`` says no, and what :meth:`Gateway.watch` raises, are answered as problem documents. ``may_watch`` and
    ``snapshot`` get the user's name (by ``name``, as for :func:`token_dependency`) and the session's; they may be ``async``,
    and plain ones are called in the event loop.
    """
    router = APIRouter()

    async def watch(session: str, signed_in: Annotated[Any, Depends(user)]) -> Response:
        try:
            return (await watch_as(gateway, session, name(signed_in), may_watch, snapshot)).response()
        except GatewayError as error:
            return error.response()

    router.add_api_route(path, watch, methods=["GET"], response_class=Response, name="watch")
    return router
