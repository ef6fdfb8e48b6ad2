"""Which way to ask next: by stream, or by long-poll where no stream comes through. Pure; knows no socket and no clock.

One loop, one request at a time: each outcome decides the next request. `clients/cases/reconnect-cases.json` drives this and
its TypeScript and Rust twins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .limits import FALLBACK_AFTER, POLL_AGAIN_MAX, POLL_AGAIN_MIN, PROBE_INTERVAL_MAX, PROBE_INTERVAL_MIN


class Way(Enum):
    """How a request asks."""

    STREAM = "stream"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class Next:
    """How to go on; `at_once`: the other way works, so that there is nothing to wait for."""

    way: Way
    at_once: bool


_STREAM = Next(Way.STREAM, at_once=False)


@dataclass(slots=True)
class _GivenUp:
    """The stream is given up for now."""

    probe_at: float
    """When to try the stream again."""
    interval: float
    """From one such probe to the next."""
    working: bool
    """Whether the last long-poll was answered."""


class Fallback:
    """What is known of the two ways."""

    def __init__(self, *, enabled: bool, after: int = FALLBACK_AFTER) -> None:
        self._enabled = enabled
        self._after = max(after, 1)
        self._silent_streams = 0
        self._given_up: _GivenUp | None = None
        # Whoever answered knew no long-poll: none is tried before this moment, which came after this pause.
        self._polls_from = 0.0
        self._polls_delay = 0.0

    @property
    def is_polling(self) -> bool:
        """Whether events come by long-poll at present."""
        return self._given_up is not None and self._given_up.working

    def stream_worked(self) -> Next:
        """A stream brought bytes, and ended otherwise than by silence; or was well for long."""
        self._silent_streams = 0
        self._given_up = None
        return _STREAM

    def stream_failed(self, now: float, *, is_held_back: bool, has_retry_after: bool) -> Next:
        """An attempt at a stream failed before it proved itself.

        `is_held_back`: it was silent until the time was up, so somebody on the way may keep streams back.
        `has_retry_after`: the server said when to come back; whoever speaks so keeps nothing back.
        """
        if not self._enabled:
            return _STREAM
        given_up = self._given_up
        if given_up is not None:
            if given_up.working:
                given_up.interval = min(given_up.interval * 2, PROBE_INTERVAL_MAX)
            # Where streams were refused, not kept back, the way may be free as soon as anything gets through.
            given_up.probe_at = now + given_up.interval if given_up.working or is_held_back else now
            return Next(Way.POLL, at_once=given_up.working)
        if has_retry_after:
            return _STREAM
        self._silent_streams += 1
        if self._silent_streams < self._after or now < self._polls_from:
            return _STREAM
        probe_at = now + PROBE_INTERVAL_MIN if is_held_back else now
        self._given_up = _GivenUp(probe_at, PROBE_INTERVAL_MIN, working=False)
        return Next(Way.POLL, at_once=False)

    def poll_answered(self, now: float) -> Next:
        """A long-poll was answered."""
        if not self._enabled or self._given_up is None:
            return Next(Way.STREAM, at_once=True)
        self._given_up.working = True
        self._polls_delay = 0.0
        return Next(Way.POLL if now < self._given_up.probe_at else Way.STREAM, at_once=True)

    def poll_failed(self) -> Next:
        """A long-poll failed: neither way is better than the other, so they take turns."""
        if self._given_up is not None:
            self._given_up.working = False
        return _STREAM

    def poll_not_understood(self, now: float) -> Next:
        """Whoever answered knows no long-poll.

        If long-polls were answered before, somebody else has spoken, or half an answer came: a failure like any other. If
        not, streams go on alone, and long-polls are tried again after ever longer pauses.
        """
        if self.is_polling:
            return self.poll_failed()
        self._polls_delay = min(max(self._polls_delay * 2, POLL_AGAIN_MIN), POLL_AGAIN_MAX)
        self._polls_from = now + self._polls_delay
        self._given_up = None
        return _STREAM
