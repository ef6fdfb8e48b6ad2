"""What can be set, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service needs to know. Durations are in seconds."""

    hub: str
    """Where this service reaches the hub."""
    hub_public: str
    """Where a browser reaches it."""
    secret_file: Path
    """The secret that the hub verifies tokens with."""
    database: Path
    page: Path | None
    """The built page, if this service is to serve it, too."""
    port: int
    token_lifetime: float
    """How long a page's token is good. A page whose token ends gets another one and misses nothing."""
    pace: float
    """How long the agents take, as a multiple of their usual pace."""

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        :raises ValueError: if one is missing or makes no sense; it names the variable.
        """
        hub = _text(environment, "HUB_URL")
        page = environment.get("PAGE")
        return Settings(
            hub=hub,
            hub_public=environment.get("HUB_PUBLIC_URL") or hub,
            secret_file=Path(_text(environment, "TOKEN_SECRET_FILE")),
            database=Path(_text(environment, "DATABASE")),
            page=Path(page) if page else None,
            port=int(_number(environment, "PORT", 5180)),
            token_lifetime=_number(environment, "TOKEN_LIFETIME", 300),
            pace=_number(environment, "PACE", 1),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ValueError(f"{name} is not set")
    return value


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{name} is no number: {text!r}") from error
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be zero or more: {text!r}")
    return value
