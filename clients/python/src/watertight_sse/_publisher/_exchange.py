"""What follows from a failed attempt to send a request. Knows no socket and no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from watertight_sse._back_off import BackOff
from watertight_sse._errors import GaveUpError, RequestError, WatertightError
from watertight_sse._publisher._limits import RETRY_BASE, RETRY_MAX

_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Again:
    """The request is sent again, with its key."""

    delay: float
    """After so many seconds."""


@dataclass(frozen=True, slots=True)
class Final:
    """It is not."""

    error: WatertightError


Step: TypeAlias = Again | Final


class Exchange:
    """One request until it is taken or given up."""

    __slots__ = ("_back_off", "_can_refresh", "_give_up_at", "_is_fresh", "_is_mended", "refresh")

    def __init__(
        self,
        now: float,
        *,
        give_up_after: float | None,
        can_refresh: bool,
        random: Callable[[], float] | None = None,
    ) -> None:
        """Begins at ``now``; ``give_up_after`` so many seconds no attempt begins any more (``None``: for ever)."""
        self._give_up_at = math.inf if give_up_after is None else now + give_up_after
        self._can_refresh = can_refresh
        self.refresh = False
        """Whether the next token must not be from a cache: until one was given."""
        self._is_fresh = False
        self._is_mended = False
        self._back_off = (
            BackOff(RETRY_BASE, RETRY_MAX)
            if random is None
            else BackOff(RETRY_BASE, RETRY_MAX, random=random)
        )

    def token_given(self) -> None:
        """The next attempt has a token; a fresh one, if that was asked for."""
        self._is_fresh, self.refresh = self.refresh, False

    def failed(self, error: WatertightError, now: float, *, may_be_stale: bool = False) -> Step:
        """What follows from ``error``. ``may_be_stale``: a connection that was kept may have been closed by the hub at the
        moment of its use, which is no failure of the hub's.
        """
        if isinstance(error, RequestError) and error.status == _UNAUTHORIZED:
            if not self._can_refresh or self._is_fresh:
                return Final(error)
            # One that is not from a cache, and then that is that.
            self.refresh = True
            return Again(0.0)
        if not error.can_retry:
            return Final(error)
        if may_be_stale and not self._is_mended:
            self._is_mended = True
            return Again(0.0)
        retry_after = error.retry_after if isinstance(error, RequestError) else None
        delay = self._back_off.next_delay(retry_after)
        if now + delay > self._give_up_at:
            return Final(GaveUpError(self._back_off.failures, error))
        return Again(delay)
