"""Asks a hub where a session is now, by a long-poll that does not wait."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httpx

from watertight_sse import _http
from watertight_sse._errors import UnexpectedAnswerError

_ANSWER_BYTES_MAX = 2 * 1024 * 1024
"""Longest answer read, bytes: it may hold one event that was published at that moment."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a session."""

    id: str
    """To resume from."""
    is_ended: bool
    """Whether the session was ended: nothing comes after it."""


async def ask_position(client: httpx.AsyncClient, url: str, bearer: str | None) -> Position:
    """The position that the hub answers with. Not limited in time.

    Raises:
        RequestError: the hub refused, or answered as no hub does.
        httpx.TransportError: there was no answer, twice.
    """
    try:
        return await _ask(client, url, bearer)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        # A kept connection that the hub has just closed is no failure: a question may be put twice.
        return await _ask(client, url, bearer)


async def _ask(client: httpx.AsyncClient, url: str, bearer: str | None) -> Position:
    headers = {"accept": "application/json"}
    if bearer is not None:
        headers["authorization"] = bearer
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != HTTPStatus.OK:
            body = await _http.aread(answer.aiter_raw(), _http.PROBLEM_BYTES_MAX)
            raise _http.refusal(answer.status_code, answer.headers, body)
        body = await _http.aread(answer.aiter_raw(), _ANSWER_BYTES_MAX)
    return _read(body)


def _read(body: bytes) -> Position:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    position = fields.get("next")
    if not isinstance(position, str) or not position:
        raise UnexpectedAnswerError("no position in the answer to a long-poll")
    end = fields.get("end")
    code = cast("dict[str, object]", end).get("code") if isinstance(end, dict) else None
    return Position(position, code == "SESSION_ENDED")
