"""What a subscriber does next: decided here, without a socket and without a clock.

At any instant there is one attempt, or one moment at which the next one begins, or neither and it is over.
The two shells, with asyncio and without, ask for the next step and carry it out.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from watertight_sse._back_off import RETRY_MIN, BackOff
from watertight_sse._errors import GaveUpError, RequestError, StreamClosedError, TokenError, WatertightError
from watertight_sse._subscriber.attempt import Attempt
from watertight_sse._subscriber.cursor import Cursor
from watertight_sse._subscriber.fallback import Fallback, Way
from watertight_sse._subscriber.limits import POLL_PAUSE, POLL_WAIT, RECONNECT_MIN
from watertight_sse._subscriber.options import Options
from watertight_sse._subscriber.status import CloseReason, ConnectionState, ConnectionStatus

_LOGGER = logging.getLogger("watertight_sse")


class Core:
    """The state that outlives every connection. Times are seconds of a clock that never goes back."""

    def __init__(self, options: Options, *, random: Callable[[], float] = random.random) -> None:
        """``random`` gives numbers from 0 to 1, for the jitter.

        Raises:
            ValueError: a base or a ceiling of the back-off that is not above zero.
        """
        self.options = options
        self.cursor = Cursor(options.last_event_id)
        self.status = ConnectionStatus("idle")
        self._back_off = BackOff(options.retry_base, options.retry_max, random=random)
        self._fallback = Fallback(options.polling)
        self._attempt: Attempt | None = None
        self._begin_at = 0.0
        self._is_token_expired = False
        self._is_over = False
        self._error: WatertightError | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_over

    def take_error(self) -> WatertightError | None:
        """Why it is over, if it is with an error; once."""
        error, self._error = self._error, None
        return error

    def step(self, now: float) -> Attempt | float | None:
        """What to do: this attempt, or wait for so many seconds and ask again; nothing if it is over."""
        if self._is_over:
            return None
        if now < self._begin_at:
            return self._begin_at - now
        way = self._fallback.way
        # The first long-poll is to be answered at once: it tells whether this way works, and its position is
        # what nothing is lost behind.
        wait = POLL_WAIT if self._fallback.is_polling else 0
        state = self.status.state
        if state == "idle":
            self._change("connecting")
        elif state == "open" or (state == "polling" and way == "stream"):
            # While a stream is tried again, no long-poll brings anything.
            self._change("reconnecting")
        self._begin_at = now
        self._attempt = Attempt(
            self,
            self.options,
            self.cursor,
            way=way,
            wait=wait if way == "poll" else 0,
            refresh=self._is_token_expired,
            now=now,
        )
        self._is_token_expired = False
        return self._attempt

    def finish(self, attempt: Attempt, now: float) -> None:
        """The attempt has ended: by itself, or because it was broken off."""
        outcome = attempt.outcome
        if outcome is None or self._is_over:
            self.drop(attempt)
            return
        self._attempt = None
        if attempt.has_progress or attempt.held() or outcome.failure is None:
            self._back_off.reset()
        if outcome.reason is not None:
            self._end(reason=outcome.reason)
        elif outcome.failure is None:
            is_first = not self._fallback.is_polling
            self._fallback.poll_answered(now)
            # Only what is new hurries the next one: a cache may answer with the same events for ever.
            self._begin_at = now if attempt.has_progress or is_first else now + POLL_PAUSE
        else:
            self._failed(attempt, outcome.failure, outcome.is_timeout, now)

    def drop(self, attempt: Attempt) -> None:
        """The attempt was broken off. The next one follows as soon as it is asked for, but a loop of
        cancelled waits does not become a loop of connections."""
        self._attempt = None
        # One that `restart` broke off is followed by the next one at once.
        pause = RETRY_MIN if attempt.has_progress or attempt.is_broken_off else RECONNECT_MIN
        self._begin_at = attempt.begun_at + pause
        self._is_token_expired = self._is_token_expired or attempt.refresh

    def restart(self) -> None:
        """The application wants a new connection: the attempt that there is, is to be broken off."""
        if self._is_over:
            return
        self._fallback.try_stream()
        self._back_off.reset()
        self._begin_at = 0.0
        # Read once: its own thread may end it meanwhile.
        attempt = self._attempt
        if attempt is not None:
            attempt.is_broken_off = True

    def close(self) -> None:
        """The application wants nothing more. Doing it twice is doing it once."""
        if self._is_over:
            return
        attempt = self._attempt
        if attempt is not None:
            attempt.is_broken_off = True
        self._end(reason="disconnected")

    def opened(self) -> None:
        """The stream is there."""
        self._change("open")

    def polled(self) -> None:
        """A long-poll was answered."""
        self._back_off.reset()
        self._change("polling")

    def progressed(self) -> None:
        """The first event of an attempt is there."""
        self._back_off.reset()
        if self.status.state == "open":
            self._change("open")

    def retry(self, seconds: float) -> None:
        """The server names the base of the back-off."""
        self._back_off.set_base(seconds)

    def _failed(self, attempt: Attempt, failure: WatertightError, is_timeout: bool, now: float) -> None:
        way = attempt.way
        not_understood = is_not_understood(failure, way)
        if not failure.can_retry and not not_understood:
            self._end(error=failure)
            return
        told = failure.retry_after if isinstance(failure, RequestError) else None
        is_expired = isinstance(failure, RequestError) and failure.code == "TOKEN_EXPIRED"
        # A fresh token that was asked for and not given is asked for again.
        self._is_token_expired = is_expired or (isinstance(failure, TokenError) and attempt.refresh)
        if way == "poll":
            next = self._fallback.poll_not_understood(now) if not_understood else self._fallback.poll_failed()
        elif attempt.has_streamed():
            next = self._fallback.stream_worked()
        else:
            next = self._fallback.stream_failed(
                now, is_held_back=is_timeout, has_retry_after=told is not None
            )
        if next.is_at_once:
            self._begin_at = now
            self._change("polling")
            return
        failures, most = self._back_off.failures, self.options.max_retries
        if most is not None and failures >= most:
            self._end(error=GaveUpError(failures + 1, failure))
            return
        delay = self._back_off.next_delay(told)
        self._begin_at = now + delay
        _LOGGER.info("%s: %s; next attempt in %.1f s", self.options, failure, delay)
        self._change("reconnecting", error=failure, retry_in=delay)

    def _end(self, *, reason: CloseReason | None = None, error: WatertightError | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._error = error
        self._change("closed" if error is None else "error", error=error, reason=reason)

    def _change(
        self,
        state: ConnectionState,
        *,
        error: WatertightError | None = None,
        reason: CloseReason | None = None,
        retry_in: float | None = None,
    ) -> None:
        if self._is_over and state not in ("closed", "error"):
            # It was closed from another thread meanwhile.
            return
        status = ConnectionStatus(state, self._back_off.failures, error, reason, retry_in)
        if status == self.status:
            return
        self.status = status
        if self.options.on_state is not None:
            self.options.on_state(status)


def is_not_understood(failure: WatertightError, way: Way) -> bool:
    """What no hub says to a long-poll: it may still say something else to a stream."""
    if way != "poll" or isinstance(failure, StreamClosedError) or not isinstance(failure, RequestError):
        return False
    return not failure.can_retry and failure.status not in (401, 403)
