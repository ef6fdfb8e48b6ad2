"""Where a hub is: checked addresses, and the paths under them. Knows no socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from .errors import InvalidOption

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNUSABLE_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Only the client can know what these have to be.
_OURS = {"host", "content-length", "transfer-encoding", "connection", "accept", "last-event-id", "idempotency-key"}


def parse_url(url: str) -> httpx.URL:
    """Reads an `http` or `https` address."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidOption(f"the URL cannot be used: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidOption("the URL cannot be used: it must begin with http:// or https:// and name a host")
    if parsed.userinfo:
        raise InvalidOption("the URL cannot be used: it must not carry a user or a password; use a token")
    return parsed.copy_with(fragment=None)


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """What a URL has in common with those that may see the same secrets."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def session_url(url: str, session: str, action: str = "events") -> httpx.URL:
    """The URL of a session's events, under the hub's own."""
    base = parse_url(url)
    if base.query:
        raise InvalidOption("the URL of a hub must not carry a query")
    # Whoever is on the way takes dots out, also percent-encoded ones (RFC 3986, section 5.2.4).
    if session in ("", ".", ".."):
        raise InvalidOption('the session name cannot be sent: it must be something else than "", "." and ".."')
    try:
        name = quote(session, safe="")
    except UnicodeEncodeError:
        raise InvalidOption("the session name cannot be sent: it is no text") from None
    prefix = base.raw_path.decode("ascii").rstrip("/")
    return base.copy_with(raw_path=f"{prefix}/sessions/{name}/{action}".encode("ascii"))


def with_query(url: httpx.URL, query: Mapping[str, str | None]) -> httpx.URL:
    """Appends those parameters that have a value; what is there stays as it is, byte for byte."""
    path = url.raw_path.decode("ascii")
    for name, value in query.items():
        if value is not None:
            path += f"{'&' if '?' in path else '?'}{name}={quote(value, safe='')}"
    return url.copy_with(raw_path=path.encode("ascii"))


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of the application, with names in lower case."""
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        name = name.lower()
        if not _TOKEN.fullmatch(name):
            raise InvalidOption("a header cannot be sent: its name has characters that no header may carry")
        if name in _OURS:
            raise InvalidOption(f"the header {name} cannot be sent: only the client can know what it has to be")
        if _UNUSABLE_VALUE.search(value):
            raise InvalidOption(f"the header {name} cannot be sent: it has characters that no header may carry")
        checked[name] = value.strip(" \t")
    return checked


def bearer(token: str) -> str:
    """The value of `Authorization`."""
    if not token.isascii() or not token.isprintable() or token != token.strip():
        raise InvalidOption("the token cannot be sent: it has characters that no header may carry")
    return f"Bearer {token}"
