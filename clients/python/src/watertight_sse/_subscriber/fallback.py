"""Which way to ask next: by stream, or by long-poll where no stream gets through. Pure; knows no clock.

The twin of the Rust and the TypeScript client's; ``clients/cases/reconnect-cases.json`` drives all three.
Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from watertight_sse._subscriber.limits import (
    FALLBACK_AFTER,
    POLL_AGAIN_MAX,
    POLL_AGAIN_MIN,
    PROBE_MAX,
    PROBE_MIN,
)

Way: TypeAlias = Literal["stream", "poll"]
"""How a request asks for events."""


class Next(NamedTuple):
    """How to go on after an attempt."""

    way: Way
    is_at_once: bool
    """That way is known to work: there is nothing to wait for."""


_STREAM = Next("stream", False)


@dataclass(slots=True)
class _GivenUp:
    """Streams are given up for now."""

    probe_at: float
    """When a stream is tried again."""
    interval: float
    """From one such try to the next."""
    is_polling: bool = False
    """The last long-poll was answered."""


class Fallback:
    """What is known of the two ways."""

    __slots__ = (
        "_after",
        "_given_up",
        "_is_enabled",
        "_polls_delay",
        "_polls_from",
        "_silent_streams",
        "way",
    )

    def __init__(self, is_enabled: bool, after: int = FALLBACK_AFTER) -> None:
        """``after`` so many attempts in a row without a stream that proves itself it is long-polls' turn."""
        self.way: Way = "stream"
        """The way of the next request."""
        self._is_enabled = is_enabled
        self._after = max(after, 1)
        self._silent_streams = 0
        self._given_up: _GivenUp | None = None
        # Whoever answered knew no long-poll: none is tried before this moment, which came after this pause.
        self._polls_from = 0.0
        self._polls_delay = 0.0

    @property
    def is_polling(self) -> bool:
        """Whether events come by long-poll at present."""
        return self._given_up is not None and self._given_up.is_polling

    def try_stream(self) -> None:
        """The application wants a new connection: a stream, first."""
        self.way = "stream"

    def stream_worked(self) -> Next:
        """A stream brought bytes, and ended otherwise than by silence; or was well for long."""
        self._silent_streams = 0
        self._given_up = None
        return self._go(_STREAM)

    def stream_failed(self, now: float, *, is_held_back: bool, has_retry_after: bool) -> Next:
        """An attempt at a stream failed before it proved itself.

        ``is_held_back``: it was silent until its time was up, as if somebody on the way kept streams back.
        ``has_retry_after``: the server said when to come back, and who speaks so keeps nothing back.
        """
        if not self._is_enabled:
            return self._go(_STREAM)
        if self._given_up is not None:
            given_up = self._given_up
            if given_up.is_polling:
                given_up.interval = min(given_up.interval * 2, PROBE_MAX)
            # Where streams were refused, the way may be free as soon as anything gets through.
            is_later = given_up.is_polling or is_held_back
            given_up.probe_at = now + given_up.interval if is_later else now
            return self._go(Next("poll", given_up.is_polling))
        if has_retry_after:
            return self._go(_STREAM)
        self._silent_streams += 1
        if self._silent_streams < self._after or now < self._polls_from:
            return self._go(_STREAM)
        self._given_up = _GivenUp(now + PROBE_MIN if is_held_back else now, PROBE_MIN)
        return self._go(Next("poll", False))

    def poll_answered(self, now: float) -> Next:
        """A long-poll was answered."""
        if self._given_up is None or not self._is_enabled:
            return self._go(Next("stream", True))
        self._given_up.is_polling = True
        self._polls_delay = 0.0
        return self._go(Next("poll" if now < self._given_up.probe_at else "stream", True))

    def poll_failed(self) -> Next:
        """A long-poll failed: neither way is better than the other, so they take turns."""
        if self._given_up is not None:
            self._given_up.is_polling = False
        return self._go(_STREAM)

    def poll_not_understood(self, now: float) -> Next:
        """Whoever answered knows no long-poll.

        If long-polls were answered before, somebody else has spoken: a failure like any other. If not,
        streams go on alone, and long-polls are tried again after ever longer pauses.
        """
        if self.is_polling:
            return self.poll_failed()
        self._polls_delay = min(max(self._polls_delay * 2, POLL_AGAIN_MIN), POLL_AGAIN_MAX)
        self._polls_from = now + self._polls_delay
        self._given_up = None
        return self._go(_STREAM)

    def _go(self, next: Next) -> Next:
        self.way = next.way
        return next
