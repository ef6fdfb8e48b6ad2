"""What both shells need of httpx: certificates, time limits switched off, and errors that quote nothing."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from watertight_sse._errors import RequestError
from watertight_sse._subscriber.request import Request

USER_AGENT = "watertight-sse-python"

FAILURES = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict, OSError)
"""What a transport may raise."""

NO_TIMEOUT = httpx.Timeout(None)
"""Every wait has a limit of the subscriber's own."""


@lru_cache(maxsize=1)
def default_certificates() -> ssl.SSLContext:
    """Whom httpx trusts. Reading them takes as long as some hundred subscriptions: once is enough."""
    return httpx.create_ssl_context()


def no_cookies() -> CookieJar:
    """A jar that stays empty, whatever servers set."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def httpx_request(request: Request) -> httpx.Request:
    """The same for httpx."""
    headers = [*request.headers]
    if not any(name == b"user-agent" for name, _ in headers):
        headers.append((b"user-agent", USER_AGENT.encode()))
    return httpx.Request(request.method, request.url, headers=headers, content=request.body)


def no_connection(thrown: BaseException) -> RequestError:
    """What a transport raised, by names and codes alone: its words, and the request that it keeps, may hold
    what was sent."""
    return RequestError(f"no connection: {', '.join(_names(thrown))}", can_retry=True)


def _names(thrown: BaseException | None) -> Iterable[str]:
    seen: list[str] = []
    while thrown is not None and len(seen) < 4:  # noqa: PLR2004 - a chain says nothing new further down
        name = type(thrown).__name__
        if isinstance(thrown, OSError) and thrown.errno is not None:
            name = errno.errorcode.get(thrown.errno, name)
        if name not in seen:
            seen.append(name)
        thrown = thrown.__cause__ or thrown.__context__
    return seen
