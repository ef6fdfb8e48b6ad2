"""Full-jitter back-off: how long to wait before the next attempt. Pure arithmetic; knows no clock.

A delay is drawn evenly between a floor and a ceiling that doubles with each failure in a row. Two thousand clients that were
cut off at once come back spread over the whole span, not in step.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

RETRY_MIN = 0.1
"""Retries wait at least this long, seconds, whatever a server says: never a tight loop."""
RETRY_BASE = 1.0
"""The first delay lies under this until the server names another base, seconds."""
RETRY_MAX = 30.0
"""Later delays lie under this, seconds, and no ``retry:`` raises it."""
RETRY_AFTER_MAX = 300.0
"""A ``Retry-After`` above this counts as this, seconds: a typing error must not park a program for a year."""
_DOUBLINGS_MAX = 40
"""Beyond so many doublings every base is at its ceiling, and no float overflows."""


class BackOff:
    """One back-off: its base, its ceiling, and how many attempts in a row have failed."""

    __slots__ = ("_base", "_ceiling", "_failures", "_random")

    def __init__(
        self,
        base: float = RETRY_BASE,
        ceiling: float = RETRY_MAX,
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        """The first delay lies under ``base``, later ones under ``ceiling``, both in seconds; ``random`` gives numbers from
        0 to 1.

        Raises:
            ValueError: a time that is no number, or not above zero.
        """
        if not (base > 0 and ceiling > 0):
            raise ValueError("the base and the ceiling of a back-off are numbers of seconds above zero")
        self._ceiling = max(ceiling, RETRY_MIN)
        self._base = 0.0
        self._failures = 0
        self._random = random
        self.set_base(base)

    @property
    def failures(self) -> int:
        """Failures in a row since ``reset``."""
        return self._failures

    def set_base(self, seconds: float) -> None:
        """Takes a server's ``retry:`` as the new base, clamped so that it can neither spin nor park the client."""
        self._base = min(max(seconds, RETRY_MIN), self._ceiling)

    def reset(self) -> None:
        """Something worked: begin anew."""
        self._failures = 0

    def next_delay(self, retry_after: float | None = None) -> float:
        """The next delay, seconds; counts one failure. A ``retry_after`` is waited out in full, and jitter added to it."""
        top = min(self._base * 2.0 ** min(self._failures, _DOUBLINGS_MAX), self._ceiling)
        self._failures += 1
        drawn = self._random()
        # Whoever gives the numbers: neither the floor nor the ceiling depends on them.
        drawn = 0.0 if math.isnan(drawn) else min(max(drawn, 0.0), 1.0)
        if retry_after is not None:
            return min(max(retry_after, 0.0), RETRY_AFTER_MAX) + min(self._base * drawn, self._base)
        return min(RETRY_MIN + (top - RETRY_MIN) * drawn, top)
