"""Passes a stream from a hub to its reader, and ends with whichever ends first.

Two things are under way for each: the pump, from the hub to the reader, and a wait for the reader to leave. The pump has one
chunk at a time: a reader that is slow slows the hub's socket down, and the hub does with it what it does with every slow
reader.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watertight_sse import _http
from watertight_sse._errors import RequestError
from watertight_sse._log import logger
from watertight_sse._to_its_end import cancelled, to_its_end
from watertight_sse._web._clients import Clients
from watertight_sse._web._passage import HEAD_TIMEOUT, STALL_TIMEOUT, Passage
from watertight_sse._web._passing import headers_for_hub, query_for_hub
from watertight_sse._web._problem import GatewayError, from_hub, hub_away
from watertight_sse._web._relays import Place, Relays, shutting_down

_CONNECT_TIMEOUT = 5.0
"""The hub must accept a connection within this time, seconds."""
_LONG_POLL_WAIT_MAX = 60.0
"""The longest that a hub keeps a long-poll waiting, seconds."""


class _Why(Enum):
    """What ended a relayed answer."""

    DONE = "the hub ended it, or was lost"
    LEFT = "the reader has left"
    OVER = "it has lived long enough"
    SILENT = "nothing came from the hub for too long"
    STALLED = "the reader took nothing for too long"
    STOPPED = "the server stops"


class RelayResponse(Response):
    """An answer that holds nothing before it is sent, and gives everything back when that ends, however it ends."""

    def __init__(  # noqa: PLR0913 - all that a stream needs, by name
        self,
        relays: Relays,
        clients: Clients,
        *,
        url: str,
        bearer: str | None,
        request: Request,
        lifetime: float,
        stall_timeout: float = STALL_TIMEOUT,
    ) -> None:
        """What of ``request`` passes is taken here. The stream ends ``lifetime`` seconds from now."""
        super().__init__()
        self._relays = relays
        self._clients = clients
        self._ends_at = time.monotonic() + lifetime
        self._stall_timeout = stall_timeout
        self._method = "HEAD" if request.method == "HEAD" else "GET"
        self._url = httpx.URL(url, params=query_for_hub(request.query_params.multi_items()))
        self._request_headers = headers_for_hub(request.headers, bearer)
        may_wait = "application/json" in request.headers.get("accept", "")
        self._head_timeout = HEAD_TIMEOUT + (_LONG_POLL_WAIT_MAX if may_wait else 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer. Cancelling it closes the connection to the hub."""
        try:
            place = self._relays.enter()
        except GatewayError as full:
            await full.response()(scope, receive, send)
            return
        passage = Passage(send, head_timeout=self._head_timeout, stall_timeout=self._stall_timeout)
        try:
            refusal = await self._run(place, passage, receive)
        finally:
            self._relays.leave(place)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _run(self, place: Place, passage: Passage, receive: Receive) -> GatewayError | None:
        """Passes until something ends it. Returns what is to be answered instead, if nothing was."""
        pump = asyncio.create_task(self._pump(passage))
        leaving = asyncio.create_task(_left(receive))
        try:
            why = await self._wait(place, passage, pump, leaving)
        finally:
            await _cancelled(pump, leaving)
        failure = None if pump.cancelled() else pump.exception()
        if isinstance(failure, GatewayError):
            return failure
        if why is _Why.LEFT or isinstance(failure, OSError):
            return None
        if failure is not None:
            raise failure
        if not passage.has_begun:
            return shutting_down() if why is _Why.STOPPED else hub_away()
        if why is _Why.DONE or (passage.is_stream and why is not _Why.STALLED):
            await passage.end(is_stopping=why is _Why.STOPPED)
        # Else the answer stays incomplete: the server closes the connection, and nobody takes it for a whole one.
        return None

    async def _wait(
        self, place: Place, passage: Passage, pump: asyncio.Task[None], leaving: asyncio.Task[None]
    ) -> _Why:
        """Until one of the two has ended, the stream is to end, or somebody is late."""
        while True:
            left = self._ends_at - time.monotonic()
            if passage.is_reader_late:
                return _Why.STALLED
            if passage.is_hub_late:
                logger.warning("the hub has sent nothing for too long: the stream ends")
                return _Why.SILENT
            if left <= 0:
                return _Why.OVER
            waits: tuple[asyncio.Future[Any], ...] = (pump, leaving, place.end)
            await asyncio.wait(
                waits, timeout=min(passage.remaining, left), return_when=asyncio.FIRST_COMPLETED
            )
            if leaving.done():
                return _Why.LEFT
            if pump.done():
                return _Why.DONE
            if place.end.done():
                return _Why.STOPPED

    async def _pump(self, passage: Passage) -> None:
        """From the hub to the reader, until the hub ends it.

        Raises:
            GatewayError: there is nothing to pass.
            OSError: the reader has left, as servers of newer ASGI versions say it.
            httpx.TransportError: the hub was lost in the middle of a long-poll's answer.
        """
        client = self._clients.get()
        # How long the hub may be silent is for the passage to say: a reader that is slow does not count as that.
        limit = httpx.Timeout(None, connect=_CONNECT_TIMEOUT)
        request = client.build_request(self._method, self._url, headers=self._request_headers, timeout=limit)
        try:
            answer = await client.send(request, stream=True)
        except httpx.TransportError as lost:
            logger.warning("no answer from the hub: %s", type(lost).__name__)
            raise hub_away() from None
        try:
            await _pass(answer, passage)
        finally:
            # It is of no further use, and the hub hears of it at once.
            await answer.aclose()


async def _pass(answer: httpx.Response, passage: Passage) -> None:
    if answer.status_code != HTTPStatus.OK:
        raise from_hub(await _refusal(answer))
    await passage.begin(answer.headers)
    try:
        async for chunk in answer.aiter_raw():
            await passage.put(chunk)
    except httpx.TransportError as lost:
        logger.info("the hub is gone: %s", type(lost).__name__)
        if not passage.is_stream:
            raise


async def _refusal(answer: httpx.Response) -> RequestError:
    try:
        body = await _http.aread(answer.aiter_raw(), _http.PROBLEM_BYTES_MAX)
    except (httpx.TransportError, RequestError):
        # The status alone says what there is to say.
        body = b""
    refused = _http.refusal(answer.status_code, answer.headers, body)
    if refused.status in (401, 403):
        logger.error("the hub refuses the application's own token: %s", refused)
    else:
        logger.info("the hub relays nothing: %s", refused)
    return refused


async def _left(receive: Receive) -> None:
    """Until the reader has left. A body that it sends is read and discarded."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(pump: asyncio.Task[None], leaving: asyncio.Task[None]) -> None:
    """Until both have given back what they hold."""
    await to_its_end(cancelled((pump, leaving)))
    if not leaving.cancelled() and (error := leaving.exception()) is not None:
        # Whoever cannot be heard any more has left.
        logger.info("a reader cannot be waited for: %s", type(error).__name__)
