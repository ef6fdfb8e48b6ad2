"""What can go wrong: whether a retry helps, and the hub's own code for it."""

from __future__ import annotations

from dataclasses import dataclass


class WatertightError(Exception):
    """Something did not work. No text of it has a token, a header or a body in it."""

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may work later."""
        return False

    @property
    def code(self) -> str | None:
        """The hub's stable code (`EVENT_TOO_LARGE`), where the hub gave one."""
        return None

    @property
    def retry_after(self) -> float | None:
        """How long the hub asked to wait, seconds."""
        return None


class InvalidOption(WatertightError, ValueError):
    """An option, an address, a session name or a token cannot be used."""


class _Passing(WatertightError):
    @property
    def is_retryable(self) -> bool:
        return True


class TokenFailed(_Passing):
    """The function that gives tokens failed: tried again like a connection that failed. Its own error is the cause."""


class ConnectionFailed(_Passing):
    """No connection, or it broke, or what came over it is not HTTP."""


class StreamEnded(_Passing):
    """The hub closed the stream."""

    def __init__(self) -> None:
        super().__init__("the stream ended")


class TimedOut(_Passing):
    """Something took too long."""

    def __init__(self, phase: str, after: float) -> None:
        super().__init__(f"timed out after {after:.1f} s waiting for {phase}")


@dataclass(frozen=True)
class Problem:
    """A refusal as the hub words it (RFC 9457), or as much of it as another server gives."""

    status: int
    code: str | None = None
    title: str | None = None
    detail: str | None = None
    retry_after: float | None = None
    """From the `Retry-After` header, seconds, whether it gives seconds or a date."""

    def __str__(self) -> str:
        text = f"refused by the hub: {self.status} {self.code or 'no code'}"
        said = self.detail or self.title
        return f"{text}: {said}" if said else text


class Refused(WatertightError):
    """The hub refused, and said why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def is_retryable(self) -> bool:
        return self.status in (408, 425, 429) or self.status >= 500

    @property
    def code(self) -> str | None:
        return self.problem.code

    @property
    def retry_after(self) -> float | None:
        return self.problem.retry_after


class UnexpectedAnswer(WatertightError):
    """The answer is not what a hub answers."""


class RedirectFailed(WatertightError):
    """A redirect that leads nowhere, or one too many."""


class EventTooLarge(WatertightError):
    """An event larger than the subscriber takes; the connection is closed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event is larger than {limit} bytes")
        self.limit = limit


class RightWithdrawn(WatertightError):
    """The hub closed the stream because the right to read it was taken away (`TOKEN_REVOKED`, `FORBIDDEN`)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the hub closed the stream: {code}: {message}")
        self._code = code

    @property
    def code(self) -> str | None:
        return self._code


class GaveUp(WatertightError):
    """Retrying did not help, in the time or as often as was allowed. `last` is why the last attempt failed."""

    def __init__(self, attempts: int, elapsed: float, last: WatertightError) -> None:
        super().__init__(f"gave up after {attempts} attempts in {elapsed:.1f} s: {last}")
        self.attempts = attempts
        self.elapsed = elapsed
        self.last = last

    @property
    def code(self) -> str | None:
        return self.last.code


class Closed(WatertightError):
    """The publisher was closed before the hub had taken the event; whether it did is open if it was under way."""


class Dropped(WatertightError):
    """The buffer was full, and the publisher was told to drop what does not fit."""


class NotPublished(WatertightError):
    """Events were refused, or given up, whose receipts nobody awaited. `first` is why the first of them was."""

    def __init__(self, count: int, first: WatertightError) -> None:
        super().__init__(f"{count} events were not published; the first: {first}")
        self.count = count
        self.first = first

    @property
    def code(self) -> str | None:
        return self.first.code


class Stopped(WatertightError):
    """`publish_many` stopped after `count` events from the beginning, the last with the id `last_id`, by `error`."""

    def __init__(self, count: int, last_id: str | None, error: WatertightError) -> None:
        super().__init__(f"stopped after {count} events: {error}")
        self.count = count
        self.last_id = last_id
        self.error = error

    @property
    def code(self) -> str | None:
        return self.error.code
