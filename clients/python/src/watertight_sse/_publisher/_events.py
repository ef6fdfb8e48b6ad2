"""From an application's data to the lines that a hub takes. Knows no socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from watertight_sse._publisher._limits import KEY_LENGTH_MAX, TYPE_BYTES_MAX

_RESERVED = ("gap", "error")
"""Types that only a hub sends."""
_TTL_MAX = 100 * 365 * 86_400.0
"""A time to live above this is none: a hundred years, in seconds."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _make_encode() -> Callable[[Any], str]:
    """The encoder's ``encode``. Where the interpreter has one in C, it is made once instead of once for each event, which
    halves the time; circles are then found by their depth.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _ENCODER.encode
    basestring: Any = json.encoder.encode_basestring
    chunks: Callable[[Any, int], tuple[str, ...]] = make(
        None, _ENCODER.default, basestring, None, ":", ",", False, False, False
    )
    join = "".join

    def encode(value: Any) -> str:
        return join(chunks(value, 0))

    return encode


_encode = _make_encode()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to publish: for ``publish_many``, and as the last event of a session."""

    data: Any
    """Any JSON; it is carried as its JSON text."""
    type: str | None = None
    """``message`` if none is named."""
    ttl: float | None = None
    """How long it may be replayed, seconds; the hub's ``event_ttl`` (5 min) if none is named."""


def line_of(item: Any, type: str | None, ttl: float | None) -> bytes:
    """The line for what a source gave: a ``NewEvent``, or any JSON, which gets this type and time to live.

    Raises:
        ValueError, TypeError: as :func:`line`.
    """
    if isinstance(item, NewEvent):
        return line(item.data, item.type or type, ttl if item.ttl is None else item.ttl)
    return line(item, type, ttl)


def line(data: Any, type: str | None, ttl: float | None) -> bytes:
    """The event as one line of JSON.

    Raises:
        ValueError: the type, the time to live or the data cannot be published: not a number, a lone surrogate, a circle.
        TypeError: the data has something in it that is no JSON.
    """
    try:
        text = _encode(data)
    except RecursionError:
        raise ValueError("the data cannot be published: it is nested too deep, or in a circle") from None
    end = "}" if ttl is None else f',"ttl":{checked_ttl(ttl)!r}}}'
    return utf8(f"{_head(type)}{text}{end}")


def json_text(value: Any) -> str:
    """Any JSON as text.

    Raises:
        ValueError, TypeError: as :func:`line`.
    """
    return _encode(value)


def utf8(text: str) -> bytes:
    """The text's bytes.

    Raises:
        ValueError: a lone surrogate. The error holds nothing of the text.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise ValueError("the data cannot be published: it has a lone surrogate in it, which is no Unicode text")


@lru_cache(maxsize=256)
def _head(type: str | None) -> str:
    if type is None:
        return '{"data":'
    return f'{{"type":{_encode(checked_type(type))},"data":'


def checked_type(type: str) -> str:
    """The type.

    Raises:
        ValueError: a hub would refuse it.
    """
    if type in _RESERVED:
        raise ValueError(f"the type {type!r} is reserved for the hub")
    if len(utf8(type)) > TYPE_BYTES_MAX:
        raise ValueError(f"a type has {TYPE_BYTES_MAX} bytes at most")
    if any(character < " " or character == "\x7f" for character in type):
        raise ValueError(f"the type {type!r} has a control character in it")
    return type


def checked_ttl(ttl: float) -> float:
    """The time to live, seconds.

    Raises:
        ValueError: it is not above zero, or longer than a hundred years.
    """
    if isinstance(ttl, bool) or not 0 < ttl <= _TTL_MAX:
        raise ValueError(f"ttl is {ttl!r}: a number of seconds above zero would do")
    return float(ttl)


def checked_key(key: str) -> str:
    """The key.

    Raises:
        ValueError: no ``Idempotency-Key`` can be so.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not all("!" <= character <= "~" for character in key):
        raise ValueError(f"key has 1 to {KEY_LENGTH_MAX} visible ASCII characters, without blanks")
    return key
