"""The reader's side of a relay: one message at a time, and for how long who is waited for. Knows no hub."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping

from starlette.types import Send

from watertight_sse._log import logger
from watertight_sse._web._passing import headers_for_reader, is_stream, silence_limit

HEAD_TIMEOUT = 15.0
"""The hub must begin to answer within this time, seconds."""
STALL_TIMEOUT = 30.0
"""A reader that takes nothing for this long is given up, seconds: as a hub does."""
_LAST_WORDS = 1.0
"""How long an answer may take to end once nothing more is passed, seconds."""
_RETRY_MS = (1000, 3000)
"""Readers of a server that stops come back after a time between these, milliseconds: not all at once."""
_SILENCE_MIN = 15.0
"""Silence of the hub that is shorter never counts as its death, seconds, however fast its heartbeat."""


class Passage:
    """One answer on its way to its reader. Holds no more than the message under way."""

    def __init__(
        self,
        send: Send,
        *,
        head_timeout: float = HEAD_TIMEOUT,
        stall_timeout: float = STALL_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``send`` is the server's; times are in seconds."""
        self._send = send
        self._stall_timeout = stall_timeout
        self._hub_timeout = head_timeout
        self._clock = clock
        self._since = clock()
        """Since when who is waited for has been waited for."""
        self._is_sending = False
        self._is_between_events = True
        self.has_begun = False
        """Whether the reader has a status."""
        self.is_stream = False
        """Whether the reader gets an event stream: then a cut in it is mended by coming back."""

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Sends the head. Cancelling it leaves it open whether the reader gets one."""
        self.is_stream = is_stream(headers)
        self._hub_timeout = silence_limit(headers, _SILENCE_MIN)
        await self._put(
            {"type": "http.response.start", "status": 200, "headers": headers_for_reader(headers)}
        )
        self.has_begun = True

    async def put(self, chunk: bytes) -> None:
        """Sends a chunk, when the reader takes it. Cancelling it while it waits leaves it open how much of it the reader gets:
        then nothing but the end may follow.
        """
        self._is_between_events = False
        await self._put({"type": "http.response.body", "body": chunk, "more_body": True})
        self._is_between_events = chunk.endswith(b"\n\n")

    async def _put(self, message: dict[str, object]) -> None:
        self._is_sending, self._since = True, self._clock()
        try:
            await self._send(message)
        finally:
            self._is_sending, self._since = False, self._clock()

    @property
    def is_reader_late(self) -> bool:
        """Whether the reader has taken nothing for too long."""
        return self._is_sending and self._clock() >= self._due

    @property
    def is_hub_late(self) -> bool:
        """Whether nothing has come from the hub for too long."""
        return not self._is_sending and self._clock() >= self._due

    @property
    def remaining(self) -> float:
        """Seconds until it has to be looked again whether somebody is late: the reader may stall as soon as nobody looks."""
        return min(max(self._due - self._clock(), 0.0), self._stall_timeout)

    @property
    def _due(self) -> float:
        return self._since + (self._stall_timeout if self._is_sending else self._hub_timeout)

    async def end(self, *, is_stopping: bool) -> None:
        """Ends the answer in good order. Between two events of a stream, a server that stops says so and when to come back, in
        a hub's words. Takes a second at most: a reader that does not read is left alone with what it has.
        """
        last = b""
        if is_stopping and self.is_stream and self._is_between_events:
            last = _closing_event()
        ending = self._send({"type": "http.response.body", "body": last, "more_body": False})
        try:
            await asyncio.wait_for(ending, _LAST_WORDS)
        except (asyncio.TimeoutError, OSError) as error:
            logger.info("a relayed stream ended without its last words: %s", type(error).__name__)


def _closing_event() -> bytes:
    words = json.dumps({"error": "Server is shutting down", "code": "SHUTTING_DOWN"}, separators=(",", ":"))
    retry = random.randint(*_RETRY_MS)  # noqa: S311 - spreads retries, guards nothing
    return f"event: error\ndata: {words}\nretry: {retry}\n\n".encode()
