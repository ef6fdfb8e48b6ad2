"""How a subscription moves: one request at a time, and each outcome decides the next. Every way out of a connection comes
through `_lost`. Knows no socket: it yields what is to be done (`effects.py`), and tells what it found."""

from __future__ import annotations

from collections.abc import Callable

from .attempt import Attempt, NoContent, NotUnderstood, Opened
from .backoff import Backoff
from .cursor import Cursor
from .effects import Close, Move, Read, Sleep, Steps, Tell
from .errors import (
    EventTooLarge,
    GaveUp,
    RightWithdrawn,
    StreamEnded,
    TimedOut,
    UnexpectedAnswer,
    WatertightError,
)
from .events import ClosingEvent, Connecting, Gap, Open, Polling, ServerStopped, Waiting
from .fallback import Fallback, Next, Way
from .limits import HEALTHY_AFTER, POLL_PAUSE, POLL_WAIT
from .parser import Comment, Parsed, Parser, Retry
from .plan import Plan


class Interrupted(Exception):
    """Thrown in place of what an effect gives: the application wants another connection, now."""


class _Ended(Exception):
    """The subscription is over, and that is no error."""


class Machine:
    """One subscription. `run` is its life, and ends with it; it raises only what no reconnect can mend."""

    def __init__(self, plan: Plan, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._plan = plan
        self._clock = clock
        self._cursor = Cursor(plan.last_event_id)
        self._attempt = Attempt(plan, clock)
        self._backoff = Backoff(plan.retry_base, plan.retry_max, random)
        self._fallback = Fallback(enabled=plan.polling, after=plan.polling_after)
        self._way = Way.STREAM
        # Attempts and retries since the last connection that was worth something, and when the first of them began.
        self._attempts = 0
        self._retries = 0
        self._trying_since = 0.0

    def run(self) -> Steps[None]:
        try:
            while True:
                try:
                    if self._way is Way.STREAM:
                        yield from self._stream()
                    else:
                        yield from self._poll()
                except Interrupted:
                    yield Close()
                    self._way = Way.STREAM
        except _Ended:
            yield Close()

    def _begin_anew(self) -> None:
        """Forgets failures, not the position."""
        self._backoff.reset()
        self._attempts = self._retries = 0

    def _connecting(self) -> Steps[None]:
        if self._attempts == 0:
            self._trying_since = self._clock()
        self._attempts += 1
        yield Tell(Connecting(self._attempts), self._cursor.id)

    def _stream(self) -> Steps[None]:
        """One stream, from the request to its end, and the wait after it."""
        yield from self._connecting()
        reading: _Reading | None = None
        try:
            opened = yield from self._attempt.open(self._cursor)
            if isinstance(opened, NoContent):
                yield from self._stopped()
            else:
                yield Tell(Open(), self._cursor.id)
                reading = _Reading(opened, self._clock())
                yield from self._read(reading)
        except WatertightError as error:
            yield Close()
            if reading is not None:
                if reading.got_somewhere:
                    self._begin_anew()
                # First bytes and then silence are no stream: somebody on the way keeps the rest.
                if reading.held or (reading.heard_at is not None and not isinstance(error, TimedOut)):
                    yield from self._lost(error, self._fallback.stream_worked())
                    return
            yield from self._lost(error, self._stream_failed(error))
        except Interrupted:
            # What the connection was worth counts, however it ends.
            if reading is not None and reading.got_somewhere:
                self._begin_anew()
            raise

    def _stream_failed(self, error: WatertightError) -> Next:
        return self._fallback.stream_failed(
            self._clock(), is_held_back=isinstance(error, TimedOut), has_retry_after=error.retry_after is not None
        )

    def _read(self, reading: _Reading) -> Steps[None]:
        """Reads a stream until it fails: its end is a failure, too."""
        parser = Parser(self._cursor.id, self._plan.max_event_bytes)
        while True:
            limit, phase = reading.limit(self._clock())
            chunk: bytes | None = yield Read(limit, phase, reading.silence)
            if chunk is None:
                raise StreamEnded
            if not chunk:
                continue
            now = self._clock()
            reading.heard_at = now
            for parsed in parser.feed(chunk):
                yield from self._take(parsed, parser, reading)
            # A block without data has an id; the last one counts, once for all of them.
            before = self._cursor.id
            self._cursor.pass_by(parser.last_event_id)
            if self._cursor.id != before:
                yield Move(self._cursor.id)

    def _take(self, parsed: Parsed, parser: Parser, reading: _Reading) -> Steps[None]:
        cursor, is_hub = self._cursor, self._plan.hub
        if isinstance(parsed, Retry):
            self._backoff.set_base(parsed.milliseconds / 1000)
        elif isinstance(parsed, Comment):
            if self._plan.comments:
                cursor.pass_by(parser.last_event_id)
                yield Tell(parsed, cursor.id)
        elif is_hub and parsed.type == "gap":
            reading.progressed = cursor.jump(parsed.id) or reading.progressed
            yield Tell(Gap.read(parsed.data), cursor.id)
        elif is_hub and parsed.type == "error":
            cursor.pass_by(parsed.id)
            yield from self._closing(ClosingEvent.read(parsed.data))
        elif is_hub and cursor.is_duplicate(parsed.id):
            # The parser has taken the id over already; the cursor does not.
            parser.last_event_id = cursor.id
        else:
            cursor.event(parsed.id)
            reading.progressed = True
            yield Tell(parsed, cursor.id)

    def _closing(self, closing: ClosingEvent) -> Steps[None]:
        yield Tell(closing, self._cursor.id)
        if closing.code == "SESSION_ENDED":
            # All of the session was delivered before: to come back would begin another one.
            raise _Ended
        if closing.code in ("TOKEN_REVOKED", "FORBIDDEN"):
            # No token of the same source has the right.
            raise RightWithdrawn(closing.code, closing.message)
        if closing.code == "TOKEN_EXPIRED":
            self._attempt.token_is_over = True

    def _stopped(self) -> Steps[None]:
        yield Tell(ServerStopped(), self._cursor.id)
        raise _Ended

    def _poll(self) -> Steps[None]:
        """One long-poll, and what comes after it."""
        # Between long-polls that work there is nothing to tell.
        is_quiet = self._fallback.is_polling
        if not is_quiet:
            yield from self._connecting()
        # The first one is to be answered at once: it tells whether this way works.
        wait, asked_at = POLL_WAIT if is_quiet else 0, self._clock()
        try:
            answer = yield from self._attempt.poll(self._cursor, wait)
        except WatertightError as error:
            yield Close()
            yield from self._lost(error, self._fallback.poll_failed())
            return
        if isinstance(answer, NoContent):
            yield from self._stopped()
        elif isinstance(answer, NotUnderstood):
            misunderstood = UnexpectedAnswer("unexpected answer: long-poll is not understood")
            yield from self._lost(misunderstood, self._fallback.poll_not_understood(self._clock()))
        else:
            self._way = self._fallback.poll_answered(self._clock()).way
            self._begin_anew()
            if not is_quiet:
                yield Tell(Polling(), self._cursor.id)
            before = self._cursor.id
            for item in answer.items(self._cursor, self._plan.max_event_bytes):
                if isinstance(item, ClosingEvent):
                    yield from self._closing(item)
                else:
                    yield Tell(item, self._cursor.id)
            if self._cursor.id != before:
                yield Move(self._cursor.id)
            if answer.has_ended:
                yield from self._lost(StreamEnded(), Next(self._way, at_once=False))
            elif wait and not answer.is_fruitful and self._clock() - asked_at < POLL_PAUSE:
                yield Sleep(POLL_PAUSE)

    def _lost(self, error: WatertightError, next: Next) -> Steps[None]:
        """A connection or an attempt is lost: wait and come back, or end if that cannot help."""
        # What no hub says to a long-poll may still be said to a stream.
        not_understood = self._way is Way.POLL and isinstance(error, UnexpectedAnswer)
        if isinstance(error, EventTooLarge) or not (error.is_retryable or not_understood):
            raise error
        self._way = next.way
        if next.at_once:
            yield Tell(Polling(), self._cursor.id)
            return
        if self._plan.max_retries is not None and self._retries >= self._plan.max_retries:
            raise GaveUp(self._attempts, self._clock() - self._trying_since, error) from error
        self._retries += 1
        delay = self._backoff.next_delay(error.retry_after)
        yield Tell(Waiting(delay, str(error)), self._cursor.id)
        yield Sleep(delay)


class _Reading:
    """What is known of one open stream."""

    def __init__(self, opened: Opened, now: float) -> None:
        self.silence = opened.silence
        self._first_byte = opened.first_byte
        self._opened_at = now
        self.heard_at: float | None = None
        """When the last byte came; `None` before the first."""
        self.progressed = False
        """Whether an event came over it, or a gap that moved the cursor."""

    def limit(self, now: float) -> tuple[float, str]:
        """How long to wait for the next byte, and what for."""
        if self.heard_at is not None:
            return self.silence, "the hub's heartbeat"
        return min(self.silence, max(self._first_byte - now, 0.001)), "the first byte of the stream"

    @property
    def held(self) -> bool:
        """Whether bytes came for long enough to call it healthy. That it was opened is worth nothing, nor its silence."""
        return self.heard_at is not None and self.heard_at - self._opened_at >= HEALTHY_AFTER

    @property
    def got_somewhere(self) -> bool:
        """Whether the connection was worth something."""
        return self.progressed or self.held
