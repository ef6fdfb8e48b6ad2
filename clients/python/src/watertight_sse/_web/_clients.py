"""One httpx client for each event loop. Connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import NamedTuple

import httpx

from watertight_sse import _http
from watertight_sse._to_its_end import to_its_end
from watertight_sse._urls import Endpoint

_KEPT = 8
"""Idle connections kept: positions are short questions."""


class _Held(NamedTuple):
    client: httpx.AsyncClient
    until: AsyncGenerator[None, None]
    """Closes the client when it ends, which a loop has it do before it is closed."""


class Clients:
    """Makes a client where there is none for the running loop. Each is closed by :meth:`aclose`, or at the end of its loop."""

    def __init__(self, endpoint: Endpoint, limit: httpx.Timeout) -> None:
        """For the hub at ``endpoint``; ``limit`` holds where a request names no other."""
        self._endpoint = endpoint
        self._limit = limit
        self._by_loop: dict[asyncio.AbstractEventLoop, _Held] = {}

    def get(self) -> httpx.AsyncClient:
        """The running loop's client. It opens as many connections as it is asked for: who asks has the limit."""
        loop = asyncio.get_running_loop()
        held = self._by_loop.get(loop)
        if held is None:
            self._forget_closed_loops()
            client = _http.async_client(self._endpoint, _http.limits(None, _KEPT), self._limit)
            held = self._by_loop[loop] = _Held(client, self._until_the_end(loop, client))
            _begin(held.until)
        return held.client

    async def aclose(self) -> None:
        """Closes the running loop's client."""
        held = self._by_loop.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await to_its_end(held.until.aclose())

    async def _until_the_end(
        self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient
    ) -> AsyncGenerator[None, None]:
        """``loop.shutdown_asyncgens()``, which ``asyncio.run`` and servers await at the end of their loop, ends it."""
        try:
            yield
        finally:
            held = self._by_loop.get(loop)
            if held is not None and held.client is client:
                del self._by_loop[loop]
            await client.aclose()

    def _forget_closed_loops(self) -> None:
        """Of loops that were closed without that. Their sockets go with them: nobody can close those in order any more."""
        for loop in [loop for loop in tuple(self._by_loop) if loop.is_closed()]:
            self._by_loop.pop(loop, None)


def _begin(generator: AsyncGenerator[None, None]) -> None:
    """To its ``yield``, which it reaches without waiting; by that its loop gets to know it."""
    with contextlib.suppress(StopIteration):
        generator.__anext__().__await__().__next__()
