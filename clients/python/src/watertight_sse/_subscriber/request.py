"""One request to be, as often as redirects and a refreshed token make it necessary. Knows no socket."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from watertight_sse._errors import UnexpectedAnswerError, WatertightError
from watertight_sse._subscriber.cursor import Cursor
from watertight_sse._subscriber.fallback import Way
from watertight_sse._subscriber.limits import POLL_EVENTS_MAX, REDIRECTS_MAX
from watertight_sse._subscriber.options import Options, check_headers
from watertight_sse._urls import check_url, with_query

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SEE_OTHER = 303
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HARMLESS = frozenset(("content-type", "user-agent", "accept-language"))
"""What may go to an origin that the application did not name. Whether anything else is a secret, nobody knows."""


class Request(NamedTuple):
    """What is sent. Shows nothing of itself but where it goes."""

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | None

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.split('?')[0]})"


class Asking:
    """The request of one attempt. Begins at the original URL, and goes where it is sent."""

    def __init__(self, options: Options, cursor: Cursor, way: Way, wait: int) -> None:
        """``wait``: of a long-poll, how long the hub may hold it, seconds.

        Raises:
            ValueError: the application's function gave headers that cannot be sent.
        """
        given = options.headers() if callable(options.headers) else options.headers
        if callable(options.headers):
            check_headers(given)
        self._given = [(name.lower(), value) for name, value in given.items()]
        self._home = options.url
        self._ours: dict[str, str] = {"cache-control": "no-cache", "accept-encoding": "identity"}
        self._options = options
        query: dict[str, str | None] = {}
        if way == "poll":
            self._ours["accept"] = "application/json"
            self._given = [(name, value) for name, value in self._given if name != "accept"]
            query = {"after": cursor.resume or None, "wait": str(wait), "limit": str(POLL_EVENTS_MAX)}
        else:
            self._ours["accept"] = "text/event-stream"
        if cursor.resume:
            # A position that the application's URL names must not outrank this one: the header outranks both.
            self._ours["last-event-id"] = cursor.resume
        elif options.replay is not None:
            query["replay"] = str(options.replay)
        self._first_url = with_query(options.url, query)
        self.restart()

    def restart(self) -> None:
        """The same once more, from the original URL on."""
        self._url = self._first_url
        self._method = self._options.method
        self._body = self._options.body
        self._has_content_type = True
        self._redirects = 0

    @property
    def is_home(self) -> bool:
        """Whether it goes to the origin that the application named: others get no credentials."""
        return _origin(self._url) == _origin(self._home)

    def request(self, token: str | None) -> Request:
        """What to send now; ``token`` is the value of ``Authorization``."""
        headers = dict(self._ours)
        for name, value in self._given:
            if (self.is_home or name in _HARMLESS) and (name != "content-type" or self._has_content_type):
                headers[name] = value
        if token is not None and self.is_home:
            headers["authorization"] = token
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        return Request(self._method, self._url, fields, self._body)

    def redirect(self, status: int, location: str | None) -> WatertightError | None:
        """Turns it into what a redirect asks for, as browsers do it: a POST becomes a GET with 301 and 302,
        and anything with 303 (Fetch standard, "HTTP-redirect fetch").

        Returns:
            Why it leads nowhere.
        """
        self._redirects += 1
        if self._redirects > REDIRECTS_MAX:
            return UnexpectedAnswerError(f"more than {REDIRECTS_MAX} redirects in a row", status)
        location = (location or "").split("#", 1)[0].strip()
        if not location:
            return UnexpectedAnswerError("a redirect whose Location is empty or missing", status)
        try:
            # A location with a scheme stands for itself; `urljoin` takes one without a host for a relative one.
            self._url = check_url(location if _SCHEME.match(location) else urljoin(self._url, location))
        except ValueError as error:
            return UnexpectedAnswerError(f"a redirect that leads nowhere: {error}", status)
        if (status in (301, 302) and self._method == "POST") or (
            status == _SEE_OTHER and self._method not in ("GET", "HEAD")
        ):
            self._method, self._body, self._has_content_type = "GET", None, False
        return None


def is_redirect(status: int) -> bool:
    """Whether an answer with this status asks to ask elsewhere."""
    return status in _REDIRECTS


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
