"""What answers mean: their heads, refusals, and the answer to a long-poll. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from watertight_sse._errors import RequestError, UnexpectedAnswerError, WatertightError
from watertight_sse._event import Event, Gap
from watertight_sse._retry_after import retry_after
from watertight_sse._subscriber.limits import (
    HEARTBEAT,
    READ_TIMEOUT_MAX,
    READ_TIMEOUT_MIN,
    SILENT_HEARTBEATS,
)


class Closing(NamedTuple):
    """Why a hub closes a stream, or ended a long-poll."""

    code: str
    message: str


class PollAnswer(NamedTuple):
    """What a hub answers to a long-poll."""

    gap: Gap | None
    events: list[Event]
    next: str
    """The position after all of it."""
    end: Closing | None


def media_type(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The media type and its parameters, in lower case."""
    found, *parameters = headers.get("content-type", "").lower().split(";")
    named = (parameter.partition("=") for parameter in parameters)
    return found.strip(), {name.strip(): value.strip().strip('"') for name, _, value in named}


def no_event_stream(headers: Mapping[str, str]) -> WatertightError | None:
    """Why the answer, a 200, is no stream of events in UTF-8 (HTML Standard, section 9.2.5)."""
    found, parameters = media_type(headers)
    if found != "text/event-stream":
        return UnexpectedAnswerError(f"the content type is {found or 'missing'}, not text/event-stream", 200)
    if parameters.get("charset", "utf-8") not in ("utf-8", "utf8"):
        return UnexpectedAnswerError("the charset is not UTF-8", 200)
    return unknown_encoding(headers)


def unknown_encoding(headers: Mapping[str, str]) -> WatertightError | None:
    """Why the body cannot be read: somebody compressed it, although nobody asked for that."""
    if headers.get("content-encoding", "identity").strip().lower() in ("", "identity"):
        return None
    return UnexpectedAnswerError("it is compressed, which was not asked for", 200)


def silence_max(headers: Mapping[str, str]) -> float:
    """How long a stream with this head may be silent before it is taken for dead, seconds."""
    told = headers.get("heartbeat-interval", "").strip()
    is_number = told.isascii() and told.isdigit()
    heartbeat = float(told[:10]) if is_number and float(told[:10]) > 0 else HEARTBEAT
    return min(max(heartbeat * SILENT_HEARTBEATS, READ_TIMEOUT_MIN), READ_TIMEOUT_MAX)


def has_words(headers: Mapping[str, str]) -> bool:
    """Whether a refusal says what is wrong, in JSON (RFC 9457)."""
    return media_type(headers)[0] in ("application/json", "application/problem+json")


def refusal(status: int, headers: Mapping[str, str], body: bytes, wall: float) -> RequestError:
    """An answer that is neither a success nor a redirect, worded by its problem document if it has one."""
    if not 400 <= status <= 599:  # noqa: PLR2004 - the statuses of errors
        return UnexpectedAnswerError(f"status {status}", status)
    problem = _object(body)
    words = [problem.get(name) for name in ("detail", "title")]
    detail = next((word for word in words if isinstance(word, str) and word), "")
    code = problem.get("code")
    return RequestError(
        detail,
        status=status,
        code=code if isinstance(code, str) and code else None,
        retry_after=retry_after(headers, wall),
    )


def read_closing(data: str) -> Closing | None:
    """Why the hub closes the stream, if it names a code: without one it is an event like any other."""
    return _closing(_object(data.encode()))


def read_poll(body: bytes) -> PollAnswer | None:
    """The answer to a long-poll; ``None`` if it is none."""
    answer = _object(body)
    found, next = answer.get("events"), answer.get("next")
    if not isinstance(found, list) or not isinstance(next, str) or not next:
        return None
    events: list[Event] = []
    for one in cast("list[object]", found):
        event = _event(one)
        if event is None:
            return None
        events.append(event)
    gap, end = answer.get("gap"), answer.get("end")
    told = Gap.of("", gap) if gap is not None else None
    if told is not None:
        told = Gap(told.last or next, told.first, told.last, told.missed, told.reason)
    return PollAnswer(
        told, events, next, _closing(cast("dict[str, Any]", end)) if isinstance(end, dict) else None
    )


def _event(value: object) -> Event | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, object]", value)
    id, type, data, at = (fields.get(name) for name in ("id", "type", "data", "created_at"))
    if not (isinstance(id, str) and isinstance(type, str) and isinstance(data, str)):
        return None
    return Event(id, type, data, float(at) if isinstance(at, int | float) else None)


def _closing(fields: dict[str, Any]) -> Closing | None:
    code, message = fields.get("code"), fields.get("error")
    if not isinstance(code, str) or not code:
        return None
    return Closing(code, message if isinstance(message, str) else "")


def _object(text: bytes) -> dict[str, Any]:
    """The object that a JSON text is, or an empty one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
