"""What can go wrong, and whether trying again may help.

No error shows a token, a header, a body, or the user or the query of a URL, and none keeps the request that failed.
Arguments that can never work (a URL that is none, a session without a name) raise ``ValueError`` where they are given.
"""

from __future__ import annotations


class WatertightError(Exception):
    """The base of all errors of this package."""

    @property
    def can_retry(self) -> bool:
        """Whether the same thing may work later."""
        return False


class RequestError(WatertightError):
    """A request that was refused, or that got no answer."""

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        can_retry: bool | None = None,
    ) -> None:
        """Without ``can_retry`` the status decides: none, 408, 425, 429 and 5xx may pass."""
        super().__init__(detail, status, code)
        self.detail = detail
        """For people."""
        self.status = status
        """The HTTP status; ``None`` if there was no answer."""
        self.code = code
        """The hub's stable code (``SESSION_ENDED``, ``TOO_MANY_STREAMS``); ``None`` if it named none."""
        self.retry_after = retry_after
        """Seconds that the server asked to wait; ``None`` if it did not."""
        self._can_retry = may_pass(status) if can_retry is None else can_retry

    @property
    def can_retry(self) -> bool:
        """Whether the same request may work later."""
        return self._can_retry

    def __str__(self) -> str:
        if self.status is None and self.code is None:
            return self.detail
        named = " ".join(str(word) for word in (self.status, self.code) if word is not None)
        return f"refused with {named}: {self.detail}" if self.detail else f"refused with {named}"


class StreamClosedError(RequestError):
    """The hub closed the stream, and said why in ``code``.

    ``TOKEN_REVOKED`` and ``FORBIDDEN`` take the right to read away and are raised. After any other code
    (``SHUTTING_DOWN``, ``TOKEN_EXPIRED``, ...) the subscription comes back: only ``on_state`` is told of it.
    """

    def __init__(self, detail: str, code: str, *, can_retry: bool = False) -> None:
        """``detail`` is the hub's own text."""
        super().__init__(detail, code=code, can_retry=can_retry)

    def __str__(self) -> str:
        return f"the hub closed the stream with {self.code}: {self.detail}"


class UnexpectedAnswerError(RequestError):
    """An answer that no hub gives: no event stream, an unknown encoding, a redirect that leads nowhere."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        """``detail`` says what is wrong with it."""
        super().__init__(detail, status=status, can_retry=False)

    def __str__(self) -> str:
        return f"unexpected answer: {self.detail}"


class EventTooLargeError(WatertightError):
    """An event is larger than ``max_event_bytes``. The connection was closed."""

    def __init__(self, limit: int) -> None:
        """``limit`` is the limit in force, in bytes."""
        super().__init__(limit)
        self.limit = limit
        """In bytes."""

    def __str__(self) -> str:
        return f"an event is larger than {self.limit} bytes"


class TokenError(WatertightError):
    """The function that gives tokens failed, or gave none in time. Tried again like a connection that failed.

    What it raised is in ``__cause__``.
    """

    @property
    def can_retry(self) -> bool:
        """Another call may give one."""
        return True


class GaveUpError(WatertightError):
    """The last of so many attempts in a row failed, too. ``last`` says how."""

    def __init__(self, attempts: int, last: WatertightError) -> None:
        """``attempts`` counts from the last success on."""
        super().__init__(attempts, last)
        self.attempts = attempts
        """How often it was tried since something last worked."""
        self.last = last
        """Why the last attempt failed."""
        self.__cause__ = last

    def __str__(self) -> str:
        return f"gave up after {self.attempts} attempts: {self.last}"


_SERVER_ERROR = 500
"""From this status on it is the server's fault."""


def may_pass(status: int | None) -> bool:
    """Whether who is answered with this status (``None``: not at all) may be answered otherwise later."""
    return status is None or status in (408, 425, 429) or status >= _SERVER_ERROR
