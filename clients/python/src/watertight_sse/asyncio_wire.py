"""Does with httpx and asyncio what the logic asks for. Owns at most one open answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar, cast

import anyio
import httpx

from . import wire
from .effects import AskToken, Close, Effect, Read, Send, Sleep, Steps, Tell
from .errors import TimedOut, TokenFailed, WatertightError

T = TypeVar("T")

Token: TypeAlias = str | Callable[[bool], str | Awaitable[str]] | None
"""A token, or what gives one: a function, also an `async` one, that is asked before each attempt. Its argument says whether
the token before was refused, so that one from a cache will not do."""


def make_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=wire.trusted(), limits=wire.LIMITS, headers={"user-agent": wire.USER_AGENT}, follow_redirects=False
    )


class Wire:
    """The outside of one subscription, or of one request of a publisher."""

    def __init__(self, client: httpx.AsyncClient, token: Token) -> None:
        self._client = client
        self._token = token
        self._answer: httpx.Response | None = None
        self._chunks: AsyncGenerator[bytes, None] | None = None

    async def perform(self, effect: Effect) -> object:
        """Cancelling it leaves nothing behind but what `aclose` gives back."""
        if isinstance(effect, Read):
            return await self._read(effect)
        if isinstance(effect, Send):
            return await self._send(effect)
        if isinstance(effect, AskToken):
            return await self._ask(effect)
        if isinstance(effect, Sleep):
            await asyncio.sleep(effect.delay)
        elif isinstance(effect, Close):
            await self.aclose()
        return None

    async def aclose(self) -> None:
        """Gives the answer back: its connection is closed, unless all of it was read."""
        answer, chunks = self._answer, self._chunks
        self._answer = self._chunks = None
        if chunks is not None:
            await chunks.aclose()
        if answer is not None:
            await answer.aclose()

    async def _send(self, send: Send) -> object:
        await self.aclose()
        request = wire.build(self._client, send.request, send.limit)
        with anyio.move_on_after(send.limit) as scope:
            try:
                self._answer = await self._client.send(request, stream=True, follow_redirects=False)
            except wire.FAILURES as error:
                raise wire.failure(error, send.phase, send.limit) from None
        if scope.cancelled_caught or self._answer is None:
            raise TimedOut(send.phase, send.limit)
        self._chunks = cast("AsyncGenerator[bytes, None]", self._answer.aiter_raw())
        return wire.head(self._answer)

    async def _read(self, read: Read) -> bytes | None:
        if self._answer is None or self._chunks is None:
            return None
        # httpx has a limit of its own for each read, which must not be the shorter one.
        self._answer.request.extensions["timeout"]["read"] = None
        with anyio.move_on_after(read.limit):
            try:
                return await anext(self._chunks, None)
            except wire.FAILURES as error:
                raise wire.failure(error, read.phase, read.limit) from None
        raise TimedOut(read.phase, read.limit)

    async def _ask(self, ask: AskToken) -> str:
        if not callable(self._token):
            return self._token or ""
        with anyio.move_on_after(ask.limit):
            try:
                given = self._token(ask.refresh)
                return await given if inspect.isawaitable(given) else given
            except Exception as error:
                raise TokenFailed(f"cannot get a token: {type(error).__name__}") from error
        raise TimedOut("a token", ask.limit)


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels tasks and waits for their end. A cancellation that meets one of anyio's own, as when a connection is just
    made, may be lost (Python 3.10 cannot tell them apart): so it is repeated until they have ended."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)


async def drive(steps: Steps[T], outside: Wire, tell: Callable[[Tell], None]) -> T:
    """Runs steps that end by themselves, to their end. What it holds is given back however it ends."""
    result: object = None
    failure: WatertightError | None = None
    try:
        while True:
            try:
                effect = steps.send(result) if failure is None else steps.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            result = failure = None
            if isinstance(effect, Tell):
                tell(effect)
                continue
            try:
                result = await outside.perform(effect)
            except WatertightError as error:
                failure = error
    finally:
        steps.close()
        await outside.aclose()
