"""What becomes of a subscription's connection, as ``on_state`` is told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from watertight_sse._errors import WatertightError

ConnectionState: TypeAlias = Literal[
    "idle", "connecting", "open", "polling", "reconnecting", "closed", "error"
]
"""
================  =====================================================================================
``idle``          not asked for anything yet
``connecting``    the first attempt
``open``          the stream is there
``polling``       no stream to be had; long-polls bring the events, and the stream is tried now and then
``reconnecting``  no connection; another attempt comes by itself
``closed``        over, as an end: see ``reason``
``error``         over: something that no attempt can mend, which the loop raises
================  =====================================================================================
"""

CloseReason: TypeAlias = Literal["disconnected", "session-ended", "ended", "no-content"]
"""
=================  ====================================================================================
``disconnected``   closed by the application
``session-ended``  the hub said that the session is over
``ended``          the server's answer ended, and ``on_end`` is ``stop``
``no-content``     the server answered 204
=================  ====================================================================================
"""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A snapshot of a connection."""

    state: ConnectionState
    failures: int = 0
    """Failures in a row."""
    error: WatertightError | None = None
    """Why the last attempt failed, or the subscription is over; ``None`` while all is well."""
    reason: CloseReason | None = None
    """Why it is ``closed``."""
    retry_in: float | None = None
    """While it is ``reconnecting``: after how many seconds the next attempt begins."""
