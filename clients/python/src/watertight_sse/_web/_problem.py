"""Refusals of the application's own routes, as ``application/problem+json`` (RFC 9457), with the same members as a hub's."""

from __future__ import annotations

import json
import math
import random
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from watertight_sse._errors import RequestError, WatertightError, may_pass

_RETRY_AFTER_SECONDS = (1, 5)
"""Where the hub names no time, one of these is drawn, as the hub does: not everybody comes back at once."""


class GatewayError(WatertightError, HTTPException):
    """A refusal that a route may raise: the framework answers with its status. With ``add_problem_handler`` it is answered as
    a problem document; without it, as the framework answers an ``HTTPException``.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after: float | None = None) -> None:
        """A 503 without ``retry_after`` (seconds) gets one drawn at random."""
        if retry_after is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
            retry_after = random.randint(*_RETRY_AFTER_SECONDS)  # noqa: S311 - spreads retries, guards nothing
        headers = {"cache-control": "no-store"}
        if retry_after is not None:
            headers["retry-after"] = str(math.ceil(retry_after))
        HTTPException.__init__(self, status, detail, headers)
        self.code = code
        """Stable, for programs."""
        self.retry_after = retry_after
        """Seconds; ``None`` if coming back does not help."""

    @property
    def can_retry(self) -> bool:
        """Whether the same request may work later."""
        return may_pass(self.status_code)

    def response(self) -> Response:
        """The refusal as a problem document."""
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
            "code": self.code,
        }
        body = json.dumps(problem, ensure_ascii=False, separators=(",", ":"))
        return Response(
            body, self.status_code, dict(self.headers or {}), media_type="application/problem+json"
        )

    def __str__(self) -> str:
        return f"{self.status_code} {self.code}: {self.detail}"


async def problem_handler(request: Request, error: Exception) -> Response:
    """Answers a ``GatewayError``; for ``app.add_exception_handler(GatewayError, problem_handler)``."""
    if not isinstance(error, GatewayError):
        raise error
    return error.response()


def hub_away() -> GatewayError:
    """503: the hub does not answer."""
    return GatewayError(HTTPStatus.SERVICE_UNAVAILABLE, "HUB_UNAVAILABLE", "the hub does not answer now")


def from_hub(refused: RequestError) -> GatewayError:
    """What the page is told when the hub refused the application.

    What is wrong with the page's own request passes. What may pass is 503. Whatever else, a token of the application's own
    that is refused above all, is no fault of the page's: 502.
    """
    status = refused.status or HTTPStatus.BAD_GATEWAY
    if status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
    ):
        return GatewayError(status, refused.code or "HUB_REFUSED", refused.detail)
    if refused.can_retry:
        return GatewayError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            refused.code or "HUB_UNAVAILABLE",
            "the hub cannot serve this now",
            retry_after=refused.retry_after,
        )
    return GatewayError(HTTPStatus.BAD_GATEWAY, "HUB_REFUSED", "the hub refused the application")
