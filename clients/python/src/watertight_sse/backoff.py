"""Full-jitter back-off: how long to wait before the next attempt. Pure arithmetic; knows no clock.

A delay is drawn evenly between a floor and a ceiling that doubles with each failure in a row. Two thousand clients cut off
at once therefore come back spread over the whole span, not in step.
"""

from __future__ import annotations

from collections.abc import Callable

from .limits import RETRY_AFTER_MAX, RETRY_CEILING_MAX, RETRY_MIN


def _clamp(value: float, least: float, most: float) -> float:
    # A NaN fails each comparison, and counts as the least.
    return least if not value >= least else min(value, most)


class Backoff:
    """The state of one back-off: its base, and how many attempts in a row have failed."""

    def __init__(self, base: float, ceiling: float, random: Callable[[], float]) -> None:
        self._ceiling = _clamp(ceiling, RETRY_MIN, RETRY_CEILING_MAX)
        self._random = random
        self._base = _clamp(base, RETRY_MIN, self._ceiling)
        self.failures = 0
        """Failures in a row since the last `reset`."""

    def set_base(self, base: float) -> None:
        """Takes the hub's `retry:` as the new base, clamped so that it can neither spin nor park the client."""
        self._base = _clamp(base, RETRY_MIN, self._ceiling)

    def reset(self) -> None:
        """The last attempt got somewhere: start anew."""
        self.failures = 0

    def next_delay(self, retry_after: float | None = None) -> float:
        """The next delay; counts one failure. A `Retry-After` is waited out in full, and jitter added to it."""
        ceiling = min(self._base * float(1 << min(self.failures, 20)), self._ceiling)
        self.failures += 1
        # Whoever gives the numbers: neither the floor nor the ceiling depends on them.
        drawn = _clamp(self._random(), 0.0, 1.0)
        if retry_after is not None:
            return _clamp(retry_after, 0.0, RETRY_AFTER_MAX) + self._base * drawn
        return min(RETRY_MIN + (ceiling - RETRY_MIN) * drawn, ceiling)
