"""Refuses what pages of other origins have a browser send."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

from . import problems


async def check_origin(request: Request) -> None:
    """Refuse to change anything for another page than our own.

    The cookie is strict, which keeps other sites out. But another port of this host, or a neighbour in its domain, is
    the same site. Browsers say where a page comes from; what says nothing is no browser.

    :raises GatewayError: 403.
    """
    if request.method in ("GET", "HEAD"):
        return
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        # Without TLS, browsers say it to loopback alone.
        is_own = origin is None or urlsplit(origin).netloc == headers.get("host")
    if not is_own:
        raise problems.other_origin()
