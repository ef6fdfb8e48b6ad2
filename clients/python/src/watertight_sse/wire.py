"""What both drivers make of httpx in the same way: requests, heads and errors."""

from __future__ import annotations

import functools
import ssl

import httpx

from .effects import Head, Request
from .errors import ConnectionFailed, TimedOut, WatertightError
from .limits import CONNECT_TIMEOUT, IN_FLIGHT_MAX

USER_AGENT = "watertight-sse-python/0.1.0"

LIMITS = httpx.Limits(max_connections=IN_FLIGHT_MAX, max_keepalive_connections=IN_FLIGHT_MAX)

FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
"""What httpx raises when a request does not work, and what reaches us of the system below it."""


@functools.lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """Whom to trust: reading the certificates takes tens of milliseconds, so all clients share them."""
    return httpx.create_ssl_context()


def build(client: httpx.Client | httpx.AsyncClient, request: Request, limit: float) -> httpx.Request:
    """The request as httpx has it. Values are UTF-8, which an id may need."""
    headers = [(name.encode("ascii"), value.encode()) for name, value in request.headers.items()]
    timeout = httpx.Timeout(limit, connect=min(limit, CONNECT_TIMEOUT))
    body = request.body or None
    return client.build_request(request.method, request.url, headers=headers, content=body, timeout=timeout)


def head(response: httpx.Response) -> Head:
    """The first of a header that comes twice counts."""
    headers: dict[str, str] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name.lower(), value)
    return Head(response.status_code, headers)


def failure(error: BaseException, phase: str, limit: float) -> WatertightError:
    """The error in our words, which quote no request."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(phase, limit)
    words = str(error) if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError) else ""
    return ConnectionFailed(f"the connection failed: {type(error).__name__}{words and f': {words}'}")
