"""One attempt: a stream or a long-poll, from its first request to its last byte. Knows no socket and no clock.

Whoever drives it sends what it says, tells it what came and when, and asks it for items.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple, Protocol

from watertight_sse._errors import (
    EventTooLargeError,
    RequestError,
    StreamClosedError,
    UnexpectedAnswerError,
    WatertightError,
)
from watertight_sse._event import Event, Gap
from watertight_sse._subscriber import answers
from watertight_sse._subscriber.cursor import Cursor
from watertight_sse._subscriber.fallback import Way
from watertight_sse._subscriber.limits import (
    ERROR_BODY_BYTES,
    HEALTHY_AFTER,
    POLL_BODY_FACTOR,
    POLL_DATA_BYTES,
    REFUSAL_TIMEOUT,
)
from watertight_sse._subscriber.options import Options
from watertight_sse._subscriber.parser import Comment, ParsedEvent, Parser, Position, Retry
from watertight_sse._subscriber.request import Asking, Request, is_redirect
from watertight_sse._subscriber.status import CloseReason

_FINAL_CODES = frozenset(("TOKEN_REVOKED", "FORBIDDEN"))
"""After these no token of the same source may read."""
_OK, _NO_CONTENT, _UNAUTHORIZED = 200, 204, 401


class Move(Enum):
    """What to do with an answer."""

    SEND = auto()
    """Close it, and send ``request`` with the same token: it was a redirect."""
    REFRESH = auto()
    """Close it, get a fresh token, and send ``request``."""
    STREAM = auto()
    """``feed`` what comes of its body, until ``ended``."""
    BODY = auto()
    """Read all of its body, at most ``body_limit`` bytes, then ``take_body``."""
    DONE = auto()
    """Close it: its head said everything."""


class Outcome(NamedTuple):
    """How an attempt ended. With neither failure nor reason a long-poll was answered."""

    failure: WatertightError | None = None
    reason: CloseReason | None = None
    """Nothing more will come, and that is no failure."""
    is_timeout: bool = False
    """Nothing came in time."""


class Host(Protocol):
    """What an attempt tells of itself while it goes on."""

    def opened(self) -> None:
        """The stream is there."""
        ...

    def polled(self) -> None:
        """A long-poll was answered."""
        ...

    def progressed(self) -> None:
        """The first event is there."""
        ...

    def retry(self, seconds: float) -> None:
        """The server names the base of the back-off."""
        ...


class Attempt:
    """Ends with an ``outcome``, or is broken off by its application, and has none then."""

    def __init__(  # noqa: PLR0913 - made in one place only
        self, host: Host, options: Options, cursor: Cursor, *, way: Way, wait: int, refresh: bool, now: float
    ) -> None:
        """``wait``: of a long-poll, how long the hub may hold it, seconds. ``refresh``: the last token has expired.

        Raises:
            Exception: whatever the application's function for headers raises.
        """
        self.way: Way = way
        self.refresh = refresh
        """Whether the token must be a fresh one: until one is let in."""
        self.begun_at = now
        self.deadline = now
        """Until then something has to come; the next byte, or whatever the request is answered with."""
        self.body_limit = 0
        """Bytes to be read of a body."""
        self.outcome: Outcome | None = None
        self.is_broken_off = False
        """The application wants another connection, or none."""
        self.has_progress = False
        """An event came, or a gap that moved the cursor."""
        self.last_byte_at: float | None = None
        self._host = host
        self._options = options
        self._cursor = cursor
        self._wait = wait
        self._asking = Asking(options, cursor, way, wait)
        self._is_hub = options.is_hub
        self._is_open = False
        self._silence_max = 0.0
        self._parser: Parser | None = None
        self._polled: answers.PollAnswer | None = None
        self._polled_events = 0
        self._refused: tuple[int, Mapping[str, str], float] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read."""
        return self.outcome is not None or self.is_broken_off

    def held(self) -> bool:
        """Whether bytes came for so long that the connection was healthy, even without an event."""
        return self.last_byte_at is not None and self.last_byte_at - self.begun_at >= HEALTHY_AFTER

    def has_streamed(self) -> bool:
        """Whether streams get through, as far as this one shows. First bytes and then silence are no stream:
        somebody on the way keeps the rest."""
        is_timeout = self.outcome is not None and self.outcome.is_timeout
        return self.held() or (self.way == "stream" and self.last_byte_at is not None and not is_timeout)

    def send(self, token: str | None, now: float, *, is_redirected: bool = False) -> Request:
        """What to send. All of an answer's way to its first byte, redirects too, is under one limit."""
        if not is_redirected:
            self.deadline = now + self._options.connect_timeout + self._wait
        return self._asking.request(token)

    def take_head(  # noqa: PLR0911 - one for each kind of answer
        self, status: int, headers: Mapping[str, str], now: float, wall: float
    ) -> Move:
        """An answer's head came; names in ``headers`` are looked up in any case. ``wall``: seconds since 1970."""
        if is_redirect(status):
            failure = self._asking.redirect(status, headers.get("location"))
            return Move.SEND if failure is None else self._done(failure)
        # Another origin was given no token: a new one would be of no use to it.
        if (
            status == _UNAUTHORIZED
            and not self.refresh
            and self._asking.is_home
            and self._options.token.can_refresh
        ):
            self.refresh = True
            self._asking.restart()
            return Move.REFRESH
        if status == _NO_CONTENT:
            self._end(Outcome(reason="no-content"))
            return Move.DONE
        if status != _OK:
            return self._take_refusal(status, headers, now, wall)
        # Whoever is let in has a token that will do.
        self.refresh = False
        if self.way == "poll":
            return self._take_poll_head(headers)
        failure = answers.no_event_stream(headers)
        if failure is not None:
            return self._done(failure)
        self._silence_max = self._options.read_timeout or answers.silence_max(headers)
        has_heartbeat = "heartbeat-interval" in headers
        self._is_hub = self._is_hub or has_heartbeat
        self._parser = Parser(
            self._cursor.id, self._options.max_event_bytes, comments=self._options.on_comment is not None
        )
        if has_heartbeat:
            # A hub writes its first bytes at once. If they do not come, somebody on the way keeps them.
            self.deadline = min(self.deadline, now + self._silence_max)
        else:
            self.deadline = now + self._silence_max
            self._open()
        return Move.STREAM

    def feed(self, chunk: bytes, now: float) -> None:
        """Bytes of the stream came; all items of those before were asked for."""
        if self._parser is None or not chunk:
            return
        self._open()
        self.last_byte_at = now
        self.deadline = now + self._silence_max
        self._parser.feed(chunk)

    def take_body(self, body: bytes) -> None:
        """All of the body came; empty, if it did not come in time or was too long."""
        if self._refused is not None:
            status, headers, wall = self._refused
            self._end(Outcome(answers.refusal(status, headers, body, wall)))
            return
        self._polled = answers.read_poll(body)
        if self._polled is None:
            self._end(Outcome(UnexpectedAnswerError("long-poll is not understood", _OK)))
        else:
            self._host.polled()

    def next_item(self) -> Event | Gap | None:
        """The next item of what came; ``None`` if more has to come first, or the attempt is over."""
        if self.is_over:
            return None
        if self._polled is not None:
            return self._next_polled(self._polled)
        parser = self._parser
        if parser is None:
            return None
        try:
            while (found := parser.next()) is not None:
                if not isinstance(found, ParsedEvent):
                    self._note(found)
                    continue
                item = self._understand(found, parser)
                if item is not None or self.is_over:
                    return item
        except EventTooLargeError as error:
            self._end(Outcome(error))
        return None

    def ended(self) -> None:
        """The server ended the body of the stream."""
        options = self._options
        if options.on_end == "stop" or (
            options.on_end is None and options.method != "GET" and not self._is_hub
        ):
            self._end(Outcome(reason="ended"))
        else:
            self._end(Outcome(RequestError("the stream ended", can_retry=True)))

    def failed(self, failure: WatertightError) -> None:
        """No connection, or it broke; or there is no token."""
        if self._refused is not None and isinstance(failure, RequestError):
            # The status alone says enough.
            self.take_body(b"")
            return
        self._end(Outcome(failure))

    def timed_out(self) -> None:
        """The deadline has passed."""
        if self._refused is not None:
            self.take_body(b"")
            return
        what = "the hub's heartbeat" if self.last_byte_at is not None else "the first byte"
        if self.way == "poll":
            what = "the answer to a long-poll"
        self._end(Outcome(RequestError(f"timed out waiting for {what}", can_retry=True), is_timeout=True))

    def _take_refusal(self, status: int, headers: Mapping[str, str], now: float, wall: float) -> Move:
        if not answers.has_words(headers) or answers.unknown_encoding(headers) is not None:
            return self._done(answers.refusal(status, headers, b"", wall))
        self._refused = (status, headers, wall)
        self.body_limit = ERROR_BODY_BYTES
        self.deadline = now + REFUSAL_TIMEOUT
        return Move.BODY

    def _take_poll_head(self, headers: Mapping[str, str]) -> Move:
        if (
            answers.media_type(headers)[0] != "application/json"
            or answers.unknown_encoding(headers) is not None
        ):
            return self._done(UnexpectedAnswerError("long-poll is not understood", _OK))
        self.body_limit = max(self._options.max_event_bytes, POLL_DATA_BYTES) * POLL_BODY_FACTOR
        return Move.BODY

    def _understand(self, found: ParsedEvent, parser: Parser) -> Event | Gap | None:
        type, data, id, has_own_id = found
        cursor = self._cursor
        if self._is_hub:
            if type == "gap":
                return self._take_gap(Gap.read(id, data), id)
            if type == "error":
                closing = answers.read_closing(data)
                if closing is not None:
                    self._close(closing)
                    return None
            elif has_own_id and cursor.is_duplicate(id):
                # The parser has taken the id over already; the cursor does not.
                parser.last_event_id = cursor.id
                return None
        self._move(id)
        return Event(id, type, data)

    def _note(self, found: Comment | Retry | Position) -> None:
        if isinstance(found, Retry):
            self._host.retry(found.milliseconds / 1000)
        elif isinstance(found, Position):
            self._cursor.pass_by(found.id)
        elif self._options.on_comment is not None:
            self._options.on_comment(found.text)

    def _next_polled(self, polled: answers.PollAnswer) -> Event | Gap | None:
        if polled.gap is not None:
            gap = polled.gap
            self._polled = polled = polled._replace(gap=None)
            told = self._take_gap(gap, gap.last)
            if told is not None:
                return told
        while self._polled_events < len(polled.events):
            event = polled.events[self._polled_events]
            self._polled_events += 1
            if self._cursor.is_duplicate(event.id):
                continue
            size = sum(
                len(text.encode("utf-8", "surrogatepass")) for text in (event.id, event.type, event.data)
            )
            if size > self._options.max_event_bytes:
                self._end(Outcome(EventTooLargeError(self._options.max_event_bytes)))
                return None
            self._move(event.id)
            return event
        self._cursor.pass_by(polled.next)
        if polled.end is None:
            self._end(Outcome())
        else:
            self._close(polled.end)
        return None

    def _take_gap(self, gap: Gap, position: str | None) -> Gap | None:
        if not self._cursor.is_news(gap):
            return None
        if position is None:
            self._cursor.forget_delivered()
        elif position != self._cursor.id:
            self._move(position)
        else:
            self._cursor.jump(position)
        return gap

    def _close(self, closing: answers.Closing) -> None:
        code, message = closing
        if code == "SESSION_ENDED":
            # All of the session was delivered before: to come back would begin another one.
            self._end(Outcome(reason="session-ended"))
        else:
            self._end(Outcome(StreamClosedError(message, code, can_retry=code not in _FINAL_CODES)))

    def _open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._host.opened()

    def _move(self, id: str) -> None:
        """An item is about to be given. The cursor moves last: where the application raises when it is told, it comes again."""
        if not self.has_progress:
            self._host.progressed()
            self.has_progress = True
        if id != self._cursor.id:
            self._cursor.jump(id)

    def _done(self, failure: WatertightError) -> Move:
        self._end(Outcome(failure))
        return Move.DONE

    def _end(self, outcome: Outcome) -> None:
        # What happens to one that was broken off is its application's doing.
        if self.outcome is None and not self.is_broken_off:
            self.outcome = outcome
