"""Refusals, in words that a page can show.

They are answered as ``application/problem+json`` (RFC 9457), as those of the hub are.
"""

from __future__ import annotations

from http import HTTPStatus

from watertight_sse.fastapi import GatewayError


def not_signed_in() -> GatewayError:
    """Refuse somebody whom the service does not know."""
    return GatewayError(HTTPStatus.UNAUTHORIZED, "NOT_SIGNED_IN", "Sign in first.")


def wrong_password() -> GatewayError:
    """Refuse a user whom there is not in the same words as a password that is wrong."""
    return GatewayError(HTTPStatus.UNAUTHORIZED, "WRONG_PASSWORD", "There is no such user with this password.")


def too_many_tries(retry_after: float) -> GatewayError:
    """Refuse to check a password, whether it is right or not."""
    return GatewayError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "TOO_MANY_TRIES",
        "It was tried too often. Wait for a minute.",
        retry_after=retry_after,
    )


def other_origin() -> GatewayError:
    """Refuse what another page has sent."""
    return GatewayError(HTTPStatus.FORBIDDEN, "OTHER_ORIGIN", "Only this service's own page may ask for this.")


def not_yours() -> GatewayError:
    """Refuse somebody else's run."""
    return GatewayError(HTTPStatus.FORBIDDEN, "NOT_YOURS", "This run belongs to somebody else.")


def no_such_run() -> GatewayError:
    """Refuse a run that there is not, or that was forgotten."""
    return GatewayError(HTTPStatus.NOT_FOUND, "NO_SUCH_RUN", "There is no such run.")


def too_many_runs() -> GatewayError:
    """Refuse to start more."""
    return GatewayError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "TOO_MANY_RUNS",
        "Too many of your runs are at work. Wait for some to end.",
        retry_after=10,
    )
