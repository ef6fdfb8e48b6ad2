"""What both shells need of httpx: certificates, proxies, and errors that quote nothing.

Requests go to httpx's transports, not to its clients: those log each URL with its query, and keep cookies.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterable
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import httpx

from watertight_sse._errors import RequestError
from watertight_sse._subscriber.request import Request

USER_AGENT = "watertight-sse-python"

FAILURES = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError)
"""What a transport may raise."""


@lru_cache(maxsize=1)
def default_certificates() -> ssl.SSLContext:
    """Whom httpx trusts. Reading them takes tens of milliseconds: once is enough."""
    return httpx.create_ssl_context()


@lru_cache(maxsize=1)
def _no_certificates() -> ssl.SSLContext:
    """Trusts nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def certificates_for(url: httpx.URL, proxy: str | None) -> ssl.SSLContext:
    """Whom to trust on the way to a URL, if the application does not say. Reads certificates only if TLS is spoken."""
    is_tls = url.scheme == "https" or (proxy is not None and proxy.startswith("https:"))
    return default_certificates() if is_tls else _no_certificates()


def check_proxy(url: str) -> None:
    """Raises ValueError if it is the URL of no proxy, without showing its password."""
    if re.match(r"(https?|socks5h?)://[^/]", url) is None:
        raise ValueError("proxy is a URL that starts with http://, https:// or socks5://")


def proxy_for(url: httpx.URL) -> str | None:
    """The proxy that the environment names for a URL, if it names one (``HTTPS_PROXY``, ``NO_PROXY`` and the like)."""
    named = getproxies()
    proxy = named.get(url.scheme, named.get("all"))
    if not proxy or proxy_bypass(url.host if url.port is None else f"{url.host}:{url.port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


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
        # Numbers of OpenSSL are none of the system's.
        if isinstance(thrown, OSError) and not isinstance(thrown, ssl.SSLError) and thrown.errno is not None:
            name = errno.errorcode.get(thrown.errno, name)
        if name not in seen:
            seen.append(name)
        thrown = thrown.__cause__ or thrown.__context__
    return seen
