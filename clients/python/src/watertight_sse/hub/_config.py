"""What a broadcaster is configured with: the names and the defaults of the application that it replaces."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

MEBIBYTE: Final = 1024 * 1024

_COUNT_MAX: Final = 10_000_000
"""Events of a queue or of a history: more are no limit any more."""
_SECONDS_MAX: Final = 10 * 365 * 86_400.0
_MB_MAX: Final = 1024.0 * 1024.0


@dataclass(frozen=True)
class BroadcasterConfig:
    """Figures of a broadcaster. Each has a default that suits one small machine.

    Raises:
        ValueError: a figure makes no sense; all of them are named, with what would do.
        TypeError: a figure is no number.
    """

    max_queue_size: int = 1000
    """How many events a subscriber may be behind; then it gets a gap. Publishers wait at half of it."""
    max_history_per_session: int = 500
    """How many events a newcomer can replay. 0: none."""
    event_ttl: float | None = 300.0
    """How long an event lives, seconds; ``None``: as long as the history holds it."""
    session_ttl: float = 1800.0
    """How long a session lives without subscribers and events, seconds."""
    cleanup_interval: float = 60.0
    """How often expired events and sessions are cleaned up, seconds."""
    enable_metrics: bool = True
    """Whether ``get_stats()`` has ``metrics``."""
    max_subscriber_idle_time: float = 600.0
    """How long a subscriber may leave unread what waits for it, seconds."""
    memory_warning_threshold_mb: float = 500.0
    """Above it (MiB, of what the hub holds) newcomers get no replay."""
    memory_critical_threshold_mb: float = 1000.0
    """Above it, history is let go, newcomers are refused, and the slowest subscribers are closed."""

    def __post_init__(self) -> None:
        """Checks every figure."""
        wrong = [
            problem for name, rule in _RULES.items() if (problem := rule.problem(name, getattr(self, name)))
        ]
        if not isinstance(self.enable_metrics, bool):  # pyright: ignore[reportUnnecessaryIsInstance]: from outside
            wrong.append(f"enable_metrics = {self.enable_metrics!r}: True or False would do")
        if not wrong and self.memory_critical_threshold_mb <= self.memory_warning_threshold_mb:
            wrong.append(
                f"memory_critical_threshold_mb = {self.memory_critical_threshold_mb!r}: more than "
                f"memory_warning_threshold_mb ({self.memory_warning_threshold_mb!r}) would do"
            )
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def memory_warning_bytes(self) -> int:
        """The warning threshold, bytes."""
        return int(self.memory_warning_threshold_mb * MEBIBYTE)

    @property
    def memory_critical_bytes(self) -> int:
        """The critical threshold, bytes."""
        return int(self.memory_critical_threshold_mb * MEBIBYTE)


@dataclass(frozen=True)
class _Rule:
    """What a figure may be."""

    least: float
    most: float
    is_whole: bool = False
    may_be_none: bool = False

    def problem(self, name: str, value: object) -> str | None:
        """What is wrong with it, and what would do."""
        if value is None and self.may_be_none:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            is_of_its_kind = isinstance(value, int) or not self.is_whole
            if is_of_its_kind and math.isfinite(value) and self.least <= value <= self.most:
                return None
        number = "a whole number" if self.is_whole else "a number"
        none = ", or None" if self.may_be_none else ""
        return f"{name} = {value!r}: {number} from {self.least:g} to {self.most:g} would do{none}"


_SECONDS = _Rule(0.001, _SECONDS_MAX)
_MEGABYTES = _Rule(1, _MB_MAX)
_RULES: Final = {
    "max_queue_size": _Rule(1, _COUNT_MAX, is_whole=True),
    "max_history_per_session": _Rule(0, _COUNT_MAX, is_whole=True),
    "event_ttl": _Rule(0.001, _SECONDS_MAX, may_be_none=True),
    "session_ttl": _SECONDS,
    "cleanup_interval": _SECONDS,
    "max_subscriber_idle_time": _SECONDS,
    "memory_warning_threshold_mb": _MEGABYTES,
    "memory_critical_threshold_mb": _MEGABYTES,
}

if {field.name for field in fields(BroadcasterConfig)} != {*_RULES, "enable_metrics"}:
    raise AssertionError("each figure has a rule")
