"""One httpx client for each event loop. Connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import httpx

from watertight_sse import _http
from watertight_sse._to_its_end import to_its_end
from watertight_sse._urls import Endpoint

_KEPT = 8
"""Idle connections kept: positions are short questions."""


class Clients:
    """Makes a client where there is none for the running loop. Each client is held until :meth:`aclose` or the end of its
    loop."""

    def __init__(self, endpoint: Endpoint, limit: httpx.Timeout) -> None:
        """For the hub at ``endpoint``; ``limit`` holds where a request names no other."""
        self._endpoint = endpoint
        self._limit = limit
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def get(self) -> httpx.AsyncClient:
        """The running loop's client. It opens as many connections as it is asked for: who asks has the limit."""
        loop = asyncio.get_running_loop()
        client = self._by_loop.get(loop)
        if client is None:
            client = _http.async_client(self._endpoint, _http.limits(None, _KEPT), self._limit)
            self._by_loop[loop] = client
        return client

    async def aclose(self) -> None:
        """Closes the running loop's client."""
        client = self._by_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await to_its_end(client.aclose())
