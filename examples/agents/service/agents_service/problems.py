"""Refusals, as ``application/problem+json`` (RFC 9457), in words that a page can show."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Refuse with a status, a code for programs and words for people."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer with a refusal."""
    if not isinstance(error, RefusedError):
        raise error
    content = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    return JSONResponse(content, error.status, media_type="application/problem+json")


NOT_SIGNED_IN = RefusedError(HTTPStatus.UNAUTHORIZED, "NOT_SIGNED_IN", "Sign in first.")
WRONG_PASSWORD = RefusedError(HTTPStatus.UNAUTHORIZED, "WRONG_PASSWORD", "This is not that user's password.")
NOT_YOURS = RefusedError(HTTPStatus.FORBIDDEN, "NOT_YOURS", "This run belongs to somebody else.")
NO_SUCH_RUN = RefusedError(HTTPStatus.NOT_FOUND, "NO_SUCH_RUN", "There is no such run.")
TOO_MANY_RUNS = RefusedError(
    HTTPStatus.TOO_MANY_REQUESTS, "TOO_MANY_RUNS", "Too many of your runs are at work. Wait for some to end."
)
