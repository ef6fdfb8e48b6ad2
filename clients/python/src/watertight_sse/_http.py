"""How httpx is set up here, and what is told of its errors and of a hub's refusals. Knows no event."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx

from watertight_sse._errors import RequestError, UnexpectedAnswerError
from watertight_sse._retry_after import retry_after
from watertight_sse._urls import Endpoint

CONNECT_TIMEOUT = 10.0
"""A connection must be up within this time, seconds, TLS included."""
KEEP_ALIVE = 60.0
"""How long an idle connection is kept, seconds: less than a hub keeps it (125 s), so that it is seldom closed at the moment of
its use."""
PROBLEM_BYTES_MAX = 16 * 1024
"""Longest refusal read, bytes; a problem document has a few hundred."""
IDENTITY = {"accept-encoding": "identity"}
"""No answer is compressed: a few bytes cannot become a heap."""

LOST = (httpx.TransportError, OSError)
"""What is raised when there is no answer: httpx translates most of what the system and TLS say, but not all."""


class TooLongError(UnexpectedAnswerError):
    """An answer was longer than it may be."""


def limits(connections: int | None, kept: int) -> httpx.Limits:
    """So many connections at once at most (``None``: as many as are needed), and so many kept while they are idle."""
    return httpx.Limits(
        max_connections=connections, max_keepalive_connections=kept, keepalive_expiry=KEEP_ALIVE
    )


def timeout(seconds: float) -> httpx.Timeout:
    """Limits for each read and write of a request, seconds; one waits for a connection as long as it takes."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT), pool=None)


def async_client(endpoint: Endpoint, pool: httpx.Limits, limit: httpx.Timeout) -> httpx.AsyncClient:
    """A client for asyncio. Follows no redirects; goes through the proxies that the environment names, but not for a Unix
    socket.
    """
    if endpoint.socket is not None:
        transport = httpx.AsyncHTTPTransport(uds=endpoint.socket, limits=pool)
        return httpx.AsyncClient(
            transport=transport, timeout=limit, headers=IDENTITY, cookies=_no_cookies(), trust_env=False
        )
    return httpx.AsyncClient(limits=pool, timeout=limit, headers=IDENTITY, cookies=_no_cookies())


def plain_client(endpoint: Endpoint, pool: httpx.Limits, limit: httpx.Timeout) -> httpx.Client:
    """The same without asyncio. May be used by several threads."""
    if endpoint.socket is not None:
        transport = httpx.HTTPTransport(uds=endpoint.socket, limits=pool)
        return httpx.Client(
            transport=transport, timeout=limit, headers=IDENTITY, cookies=_no_cookies(), trust_env=False
        )
    return httpx.Client(limits=pool, timeout=limit, headers=IDENTITY, cookies=_no_cookies())


def _no_cookies() -> CookieJar:
    """A jar that takes none: what somebody on the way gives with one answer is not carried into the requests of others."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def no_answer(lost: Exception) -> RequestError:
    """The error for a request that got no answer. Of what httpx says only the kind is told: its words may quote the request."""
    kind = type(lost).__name__
    if isinstance(lost, httpx.TimeoutException):
        return RequestError(f"no answer in time: {kind}")
    return RequestError(f"no connection: {kind}")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    """The error for an answer that is neither a success nor a redirect. A body that is no problem document counts as none."""
    if not httpx.codes.is_error(status):
        hint = " (redirects are not followed here)" if httpx.codes.is_redirect(status) else ""
        return UnexpectedAnswerError(f"status {status}{hint}", status)
    problem = problem_of(body)
    code, detail, title = problem.get("code"), problem.get("detail"), problem.get("title")
    told = next((text for text in (detail, title) if isinstance(text, str)), "")
    return RequestError(
        told,
        status=status,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after(headers, time.time()),
    )


def problem_of(body: bytes) -> dict[str, object]:
    """The members of a problem document; none if it is no such document."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


async def aread(chunks: AsyncIterator[bytes], longest: int) -> bytes:
    """All of a body.

    Raises:
        TooLongError: it is longer than ``longest`` bytes; no more of it was read.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > longest:
            raise TooLongError(f"more than {longest} bytes")
    return bytes(body)


def read(chunks: Iterator[bytes], longest: int) -> bytes:
    """As ``aread``, without asyncio."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > longest:
            raise TooLongError(f"more than {longest} bytes")
    return bytes(body)
