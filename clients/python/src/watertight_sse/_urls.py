"""Where a hub is: a checked base URL, and the URLs below it. Knows no socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx

_UNIX = "unix:"
_UNIX_ORIGIN = "http://localhost"
"""What is asked of a hub at a Unix socket: it answers to this host."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A hub's address: ``http://host[:port][/prefix]``, ``https://...`` or ``unix:/run/watertight/hub.sock``."""

    base: str
    """Scheme, host, port and prefix, without a slash at the end."""
    socket: str | None = None
    """The path of the Unix socket at which the hub is; for ``httpx.AsyncHTTPTransport(uds=...)``."""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Reads a base URL.

        Raises:
            ValueError: it cannot be used. The text says why, and shows neither user nor query.
        """
        if url.startswith(_UNIX):
            path = url.removeprefix(_UNIX)
            if not path.startswith("/") or path.endswith("/") or "\0" in path:
                raise ValueError(
                    "the path of a Unix socket begins with a slash and ends with a name: unix:/run/watertight/hub.sock"
                )
            return cls(_UNIX_ORIGIN, path)
        checked = check_url(url)
        if "?" in checked:
            raise ValueError("the URL of a hub must not carry a query")
        return cls(checked.rstrip("/"))

    def events(self, session: str, query: Mapping[str, str | None] | None = None) -> str:
        """The URL of a session's events, with those parameters that have a value.

        Raises:
            ValueError: a session name that no path can carry.
        """
        return with_query(f"{self.base}/sessions/{path_segment(session)}/events", query or {})

    def end(self, session: str) -> str:
        """The URL at which a session is ended.

        Raises:
            ValueError: a session name that no path can carry.
        """
        return f"{self.base}/sessions/{path_segment(session)}/end"


def path_segment(name: str) -> str:
    """The name as one segment of a path: percent-encoded, slashes too.

    Raises:
        ValueError: it is empty, ``.`` or ``..``, which whoever is on the way takes out of a path, also percent-encoded
            (RFC 3986, section 5.2.4); or it is no Unicode text.
    """
    if name in ("", ".", ".."):
        raise ValueError('the session name cannot be sent: it must be something else than "", "." and ".."')
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        pass
    raise ValueError("the session name cannot be sent: it is no Unicode text (a lone surrogate)")


def with_query(url: str, query: Mapping[str, str | None]) -> str:
    """The URL with those parameters that have a value, behind those that are there."""
    for name, value in query.items():
        if value is not None:
            url += f"{'&' if '?' in url else '?'}{name}={quote(value, safe='')}"
    return url


def check_url(url: str) -> str:
    """An absolute ``http`` or ``https`` URL without its fragment.

    Raises:
        ValueError: it is none, or it carries a user or a password. The text shows neither them nor the query.
    """
    url = url.split("#", 1)[0]
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("the URL cannot be used: it has blanks or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = None
    if parts is None:
        raise ValueError("the URL cannot be used: its host or its port is none")
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL cannot be used: it must start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("the URL cannot be used: it must not carry a user name or a password")
    if not host or port == 0:
        raise ValueError("the URL cannot be used: it names no host, or the port 0")
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        pass
    else:
        return url
    raise ValueError("the URL cannot be used: its host is none, or it is too long")
