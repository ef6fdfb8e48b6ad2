"""The question of a page, asked by whoever has signed in. Knows no framework's routing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from watertight_sse._web._gateway import Gateway, Snapshot
from watertight_sse._web._problem import GatewayError
from watertight_sse._web._watch import Watch
from watertight_sse.tokens import session_pattern

MayWatch: TypeAlias = Callable[[str, str], "bool | Awaitable[bool]"]
"""Whether this user may watch this session."""
SnapshotOf: TypeAlias = Callable[[str, str], Any]
"""The state that this user sees of this session, as JSON, or an awaitable of it."""


async def watch_as(
    gateway: Gateway, session: str, user: str, may_watch: MayWatch, snapshot: SnapshotOf | None
) -> Watch:
    """As :meth:`Gateway.watch`, for whoever may.

    Raises:
        GatewayError: 403, 400 for a name that cannot be watched, or as :meth:`Gateway.watch`.
        ValueError: a user that no token can be for: the application's own fault, not the page's.
    """
    if not await settled(may_watch(user, session)):
        raise GatewayError(403, "FORBIDDEN", "this session is not yours to watch")
    state: Snapshot | None = None if snapshot is None else partial(snapshot, user, session)
    try:
        session_pattern(session)
    except ValueError as error:
        raise GatewayError(400, "INVALID_SESSION_NAME", str(error)) from None
    return await gateway.watch(session, user, state)


async def settled(given: Any) -> Any:
    """What was given, or what it gives when it is awaited: applications pass plain functions and ``async`` ones."""
    return await given if inspect.isawaitable(given) else given
