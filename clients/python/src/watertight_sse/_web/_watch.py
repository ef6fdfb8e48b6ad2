"""What a page needs to watch a session. Knows no socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse


@dataclass(frozen=True, slots=True)
class Watch:
    """Where a page watches, with which token, from which id, and what the session's state was."""

    url: str
    """The session's events at the hub, as the page reaches it."""
    token: str | None = field(repr=False)
    """Grants reading this session; ``None`` at an open hub. Not shown where this is printed."""
    expires_at: int | None
    """Until when the hub takes the token, seconds since 1970. A page that is asked for a fresh one asks the same route
    again."""
    last_event_id: str
    """The position that was taken before the snapshot: what comes after it is all that the snapshot may lack."""
    snapshot: Any = None
    """The application's own state, as JSON; ``None`` if it gave none."""
    is_ended: bool = False
    """Whether the session was ended: no more events will come."""

    def json(self) -> dict[str, Any]:
        """The members as JSON: ``url``, ``token``, ``expiresAt``, ``lastEventId``, ``snapshot``, ``ended``."""
        return {
            "url": self.url,
            "token": self.token,
            "expiresAt": self.expires_at,
            "lastEventId": self.last_event_id,
            "snapshot": self.snapshot,
            "ended": self.is_ended,
        }

    def response(self) -> JSONResponse:
        """The answer to the page. Nobody on the way keeps it: it holds a token."""
        return JSONResponse(self.json(), headers={"cache-control": "no-store"})
