"""What proves who asks: a token that is known, or a function that gives one. Knows no request."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from watertight_sse._errors import TokenError
from watertight_sse._to_its_end import by_itself


class RefreshableToken(Protocol):
    """A function that is told whether its last token was refused: then one from a cache will not do."""

    def __call__(self, *, refresh: bool) -> str | Awaitable[str | None] | None:
        """A token; ``None`` to ask without one."""
        ...


class RefreshablePlainToken(Protocol):
    """The same for a caller without asyncio."""

    def __call__(self, *, refresh: bool) -> str | None:
        """A token; ``None`` to ask without one."""
        ...


PlainTokenSource: TypeAlias = str | Callable[[], str | None] | RefreshablePlainToken
"""As ``TokenSource``, but no function may be ``async``."""

TokenSource: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None] | RefreshableToken
"""A token, or a function that gives one. A function is asked before each request; if it takes a keyword ``refresh``, it is
told whether the last token was answered with 401 or had expired. It may be ``async`` where the caller is."""


class Token:
    """Gives the value of ``Authorization``. Shows nothing of a token in any text."""

    __slots__ = ("_fixed", "_function", "_is_told")

    def __init__(self, source: TokenSource | None) -> None:
        """``None`` asks without a token.

        Raises:
            ValueError: a token that no header can carry.
        """
        self._fixed: str | None = None
        self._function: Callable[..., str | Awaitable[str | None] | None] | None = None
        self._is_told = False
        if isinstance(source, str):
            self._fixed = _bearer(source)
        elif source is not None:
            self._function = source
            self._is_told = _takes_refresh(source)

    @property
    def can_refresh(self) -> bool:
        """Whether a 401 may be mended by asking once more."""
        return self._function is not None

    def get(self, *, refresh: bool = False) -> str | None:
        """The header's value; ``None`` for none. As slow as the application's function is.

        Raises:
            TokenError: the function failed, is ``async``, or what it gave is no token.
        """
        given = self._ask(refresh)
        if inspect.isawaitable(given):
            if inspect.iscoroutine(given):
                given.close()
            raise TokenError("the function that gives tokens is async: it has to be a plain one here")
        return self._checked(given)

    async def aget(self, *, refresh: bool = False) -> str | None:
        """As ``get``; the function may be ``async``. Unbounded in time: whoever waits sets the limit. Cancelling it cancels the
        application's function. That something which the function waits for was cancelled is an error like any other.
        """
        given = self._ask(refresh)
        if inspect.isawaitable(given):
            # By itself: several may wait for one refresh, and that somebody cancelled it is no cancellation of the caller.
            task = await by_itself(_awaited(given))
            try:
                given = task.result()
            except (Exception, asyncio.CancelledError) as thrown:
                raise TokenError(f"cannot get a token: {type(thrown).__name__}") from thrown
        return self._checked(given)

    def _ask(self, refresh: bool) -> str | Awaitable[str | None] | None:
        if self._function is None:
            return self._fixed
        try:
            return self._function(refresh=refresh) if self._is_told else self._function()
        except Exception as thrown:
            raise TokenError(f"cannot get a token: {type(thrown).__name__}") from thrown

    def _checked(self, given: object) -> str | None:
        if given is None or self._function is None:
            return self._fixed
        if not isinstance(given, str):
            raise TokenError(f"the function that gives tokens gave no text, but {type(given).__name__}")
        try:
            return _bearer(given)
        except ValueError as error:
            reason = str(error)
        raise TokenError(reason)

    def __repr__(self) -> str:
        if self._function is not None:
            return "Token(a function)"
        return "Token(none)" if self._fixed is None else "Token(a token)"


async def _awaited(given: Awaitable[str | None]) -> str | None:
    return await given


def _bearer(token: str) -> str:
    # The text of the error says nothing of the token.
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError(
            "the token cannot be sent: it is empty, or has blanks, line breaks or other than ASCII in it"
        )
    return f"Bearer {token}"


def _takes_refresh(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Functions written in C may have none that can be read.
        return False
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD
        or (parameter.name == "refresh" and parameter.kind in by_name)
        for parameter in parameters
    )
