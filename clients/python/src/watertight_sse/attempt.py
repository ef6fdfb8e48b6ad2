"""One attempt: token, request, redirects, and what the answer means. Knows nothing of what came before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx

from .address import bearer
from .answers import collect, is_event_stream, media_type, refusal, silence_max
from .cursor import Cursor
from .effects import AskToken, Close, Head, Request, Send, Steps
from .errors import RedirectFailed, UnexpectedAnswer
from .fallback import Way
from .limits import POLL_GRACE, REDIRECTS_MAX, TOKEN_TIMEOUT
from .plan import Plan
from .poll import Answer, body_bytes_max


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream, which is open: it may be silent for so long, and its first byte must come before `first_byte`."""

    silence: float
    first_byte: float


@dataclass(frozen=True, slots=True)
class NoContent:
    """204: come back never (WHATWG HTML, section 9.2.3)."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Whoever answers does not know long-poll."""


class Attempt:
    """What the attempts of one subscription have in common."""

    def __init__(self, plan: Plan, clock: Callable[[], float]) -> None:
        self._plan = plan
        self._clock = clock
        self.token_is_over = False
        """The hub said that the last token has expired: the next attempt asks for a fresh one from the start."""

    def open(self, cursor: Cursor) -> Steps[Opened | NoContent]:
        """Opens a stream. It is open if `Opened` is returned; else the answer was closed."""
        plan = self._plan
        asked = plan.request(cursor, Way.STREAM)
        head, deadline = yield from self._exchange(asked, plan.connect_timeout, "the head of the stream")
        if head.status == 204:
            yield Close()
            return NoContent()
        if head.status != 200:
            raise (yield from refusal(head, self._clock))
        if not is_event_stream(head):
            found = head.headers.get("content-type", "nothing")
            raise UnexpectedAnswer(f"unexpected answer: the content type is {found}, not text/event-stream")
        return Opened(plan.read_timeout or silence_max(head), deadline)

    def poll(self, cursor: Cursor, wait: int) -> Steps[Answer | NoContent | NotUnderstood]:
        """Asks once for what there is. The answer was closed."""
        phase, patience = "the answer to a long-poll", wait + POLL_GRACE
        request = self._plan.request(cursor, Way.POLL, wait)
        head, deadline = yield from self._exchange(request, patience, phase)
        if head.status == 204:
            yield Close()
            return NoContent()
        if head.status != 200:
            error = yield from refusal(head, self._clock)
            # Who asks is known, and refused; or the same request may work later.
            if head.status in (401, 403) or error.is_retryable:
                raise error
            return NotUnderstood()
        if media_type(head)[0] != "application/json":
            yield Close()
            return NotUnderstood()
        body = yield from collect(body_bytes_max(self._plan.max_event_bytes), deadline, phase, self._clock)
        return Answer.parse(body) or NotUnderstood()

    def _exchange(self, asked: Request, patience: float, phase: str) -> Steps[tuple[Head, float]]:
        """Sends the request until it is answered by neither a redirect nor a 401 that a new token may mend. Also gives the
        moment up to which the answer is to be there."""
        plan = self._plan
        refresh, self.token_is_over = self.token_is_over and plan.can_refresh, False
        while True:
            request = asked
            if plan.has_token:
                token: str = yield AskToken(refresh, TOKEN_TIMEOUT)
                request = replace(asked, headers={**asked.headers, "authorization": bearer(token)})
            deadline = self._clock() + patience
            head, is_home = yield from self._follow(request, deadline, patience, phase)
            # Another origin was given no token: a new one would be of no use to it.
            if head.status != 401 or not is_home or refresh or not plan.can_refresh:
                return head, deadline
            yield Close()
            refresh = True

    def _follow(self, request: Request, deadline: float, patience: float, phase: str) -> Steps[tuple[Head, bool]]:
        """Sends the request, and again to wherever it is sent on. Begins at the original URL each time. Also says whether
        the answer is of the origin that the application named."""
        for _ in range(REDIRECTS_MAX + 1):
            limit = max(deadline - self._clock(), 0.001)
            head: Head = yield Send(request, min(limit, patience), phase)
            if head.status not in (301, 302, 303, 307, 308):
                return head, self._plan.is_home(request.url)
            yield Close()
            location = head.headers.get("location")
            if not location:
                raise RedirectFailed(f"cannot follow the redirect: status {head.status}, but there is no Location")
            request = self._plan.redirected(request, head.status, self._target(request, location))
        raise RedirectFailed(f"cannot follow the redirect: more than {REDIRECTS_MAX} in a row")

    def _target(self, request: Request, location: str) -> httpx.URL:
        try:
            to = request.url.join(location)
        except (httpx.InvalidURL, ValueError):
            to = None
        if to is None or to.scheme not in ("http", "https") or not to.host or to.userinfo:
            raise RedirectFailed("cannot follow the redirect: its Location cannot be used")
        return to.copy_with(fragment=None)
