"""What stands between an application's sign-in and a hub: tokens for pages, positions, and relayed streams."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias

import httpx
from starlette.requests import Request
from starlette.responses import Response

from watertight_sse import _http
from watertight_sse._errors import RequestError
from watertight_sse._log import logger
from watertight_sse._urls import Endpoint, path_segment
from watertight_sse._web._clients import Clients
from watertight_sse._web._position import Position, ask_position
from watertight_sse._web._problem import GatewayError, from_hub, hub_away
from watertight_sse._web._relay import RelayResponse
from watertight_sse._web._relays import Relays
from watertight_sse._web._watch import Watch
from watertight_sse.tokens import IssuedToken, Minter, checked_lifetime, session_pattern

Snapshot: TypeAlias = Callable[[], Any | Awaitable[Any]]
"""Gives the application's state as JSON. A plain function is called in the event loop: one that blocks is to be wrapped
(``asyncio.to_thread``)."""

_HUB_TIMEOUT = 5.0
"""The hub must tell a position within this time, seconds: a page is waiting."""
_RELAY_LIFETIME = 3600.0
"""How long a relayed stream lives, seconds, before its reader has to come back: then the application asks again whether it
may."""
_TOKEN_OUTLIVES = 60.0
"""So much longer than what it is for is the application's own token valid, seconds: clocks differ, and the hub is not to end
what the application ends."""
_RELAYS_MAX = 10_000
"""Streams relayed at once; each has two sockets and about 100 kB of buffers in the interpreter."""


class Gateway:
    """An application's way to its hub. One for the whole application; may be made at import.

    Where the page goes straight to the hub, which is what costs the application nothing, :meth:`watch` tells it where and from
    which id, and mints its token. Where it must stay behind the application's own route, :meth:`relay` passes the stream
    through.

        gateway = Gateway("http://127.0.0.1:8080", Minter(secret_file="secret"), public="https://events.example.com")
    """

    def __init__(  # noqa: PLR0913 - by name, and each with a default
        self,
        hub: str,
        minter: Minter | None,
        *,
        public: str | None = None,
        lifetime: float | None = None,
        relay_lifetime: float = _RELAY_LIFETIME,
        max_relays: int = _RELAYS_MAX,
        timeout: float = _HUB_TIMEOUT,
    ) -> None:
        """Connects at the first question.

        Args:
            hub: where the application reaches the hub: ``http://127.0.0.1:8080``, or ``unix:/run/watertight/hub.sock``.
            minter: signs the tokens; ``None`` for a hub that is open.
            public: where pages reach the hub, or a path (``/hub``) of the page's own origin. Default: as ``hub``.
            lifetime: seconds for which a page's token is valid. Default: the minter's.
            relay_lifetime: seconds after which a relayed stream ends and its reader comes back.
            max_relays: streams relayed at once; one more is refused with 503.
            timeout: seconds within which the hub has to answer.

        Raises:
            ValueError: a URL, a time or a number that cannot be used.
        """
        if timeout <= 0 or relay_lifetime < 1 or max_relays < 1:
            raise ValueError("timeout is above 0 seconds, relay_lifetime 1 or more, max_relays 1 or more")
        checked_lifetime(relay_lifetime + _TOKEN_OUTLIVES)
        if lifetime is not None:
            checked_lifetime(lifetime)
        self._endpoint = Endpoint.parse(hub)
        self._minter = minter
        self._public = _public(self._endpoint, public)
        self._lifetime = lifetime
        self._relay_lifetime = relay_lifetime
        self._timeout = timeout
        self._clients = Clients(self._endpoint, _http.timeout(timeout))
        self._relays = Relays(max_relays)

    def token(self, user: str | None, sessions: Iterable[str]) -> IssuedToken | None:
        """A short token with which ``user`` reads these sessions; ``None`` at an open hub. Does no IO.

        Raises:
            ValueError: a name that no token can be for alone (one with a star), more than 64 of them, or a user that a hub
                would refuse.
            TypeError: a single name instead of a list of them.
        """
        if isinstance(sessions, str):
            raise TypeError(f"sessions is a list of names, not one text: [{sessions!r}] would do")
        if self._minter is None:
            return None
        patterns = [session_pattern(session) for session in sessions]
        return self._minter.issue(sub=user, subscribe=patterns, lifetime=self._lifetime)

    async def position(self, session: str) -> Position:
        """Where the session is now: a reader that resumes from ``id`` gets whatever is published from now on. Makes the session
        if there is none. Cancelling it leaves nothing behind.

        Raises:
            GatewayError: 503 if the hub does not answer, or cannot now; 400 for a name that it refuses; 502 if it refuses the
                application.
            ValueError: a name that no path can carry, or no token can be for.
        """
        bearer = self._service_bearer(session, self._timeout + _TOKEN_OUTLIVES)
        url = self._endpoint.events(session, {"wait": "0", "limit": "1"})
        asking = ask_position(self._clients.get(), url, bearer)
        try:
            return await asyncio.wait_for(asking, self._timeout)
        except (asyncio.TimeoutError, httpx.TransportError) as lost:
            logger.warning("no answer from the hub: %s", type(lost).__name__)
            raise hub_away() from None
        except RequestError as refused:
            logger.warning("no position from the hub: %s", refused)
            raise from_hub(refused) from None

    async def watch(self, session: str, user: str | None, snapshot: Snapshot | None = None) -> Watch:
        """Where, with which token and from which id ``user`` watches the session, and the application's snapshot.

        The position is taken first, then the snapshot. So an application that changes its state and then publishes what
        changed leaves nothing out: whatever the snapshot lacks comes after ``last_event_id``. What it has already may come
        once more: a page tells by a number that the application puts into both.

        Whether ``user`` may watch the session is for the caller to ask before. Cancelling it leaves nothing behind.

        Raises:
            GatewayError: as :meth:`position`.
            ValueError: a name or a user that no token can be for; a hub at a Unix socket without ``public``.
        """
        if self._public is None:
            raise ValueError(
                "pages cannot reach a Unix socket: Gateway(..., public=...) says where they reach the hub"
            )
        url = f"{self._public}/sessions/{path_segment(session)}/events"
        position = await self.position(session)
        state = snapshot() if snapshot is not None else None
        if inspect.isawaitable(state):
            state = await state
        # Minted last: a slow snapshot takes nothing of its lifetime.
        issued = self.token(user, [session])
        token, expires_at = (None, None) if issued is None else (issued.token, issued.expires_at)
        return Watch(url, token, expires_at, position.id, state, position.is_ended)

    def relay(self, request: Request, session: str) -> Response:
        """The answer that passes the session's stream, or the long-poll that the request asks for, from the hub to whoever
        asked. Whether they may read it is for the caller to ask before.

        Nothing happens before the framework sends the answer; an answer that is thrown away holds nothing. The hub is shown
        a token of the application's own. Of the request it sees ``Accept``, the last id and the parameters of
        `where a stream begins <https://github.com/watertight-sse/watertight/blob/main/docs/protocol.md>`_, and nothing else.

        It ends when its reader leaves, at once also if the hub sends nothing; when the hub ends it; when the server
        stops; after ``relay_lifetime``; when the reader takes nothing for 30 s; and when the hub is silent for three
        heartbeats. In all cases the reader comes back with its last id and misses nothing.

        Raises:
            ValueError: a name that no path can carry, or no token can be for.
        """
        bearer = self._service_bearer(session, self._relay_lifetime + _TOKEN_OUTLIVES)
        return RelayResponse(
            self._relays,
            self._clients,
            url=self._endpoint.events(session),
            bearer=bearer,
            request=request,
            lifetime=self._relay_lifetime,
        )

    def end_relays(self) -> None:
        """Ends all relayed streams, and refuses further ones with 503: the server is stopping. Under uvicorn, run as a program,
        this happens by itself. Must be called in the event loop. ``async with gateway`` begins anew.
        """
        self._relays.stop()

    @property
    def relayed(self) -> int:
        """Streams and long-polls that are being relayed."""
        return self._relays.count

    async def aclose(self) -> None:
        """Ends all relayed streams, and closes the connections to the hub that belong to the running event loop."""
        self._relays.stop()
        await self._clients.aclose()

    async def __aenter__(self) -> Gateway:
        """Nothing is opened before it is needed. After :meth:`aclose` it begins anew: a module's gateway may live through
        several lifespans of its application.
        """
        self._relays.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As :meth:`aclose`."""
        await self.aclose()

    def _service_bearer(self, session: str, lifetime: float) -> str | None:
        """The application's own right to read this session, and nothing else. It has no user: no limit by user counts it."""
        pattern = session_pattern(session)
        if self._minter is None:
            return None
        return f"Bearer {self._minter.mint(subscribe=[pattern], lifetime=lifetime)}"


def _public(hub: Endpoint, public: str | None) -> str | None:
    if public is None:
        return None if hub.socket is not None else hub.base
    if public.startswith("/") and not public.startswith("//"):
        return public.rstrip("/")
    return Endpoint.parse(public).base


__all__ = ["Gateway", "GatewayError", "Snapshot"]
