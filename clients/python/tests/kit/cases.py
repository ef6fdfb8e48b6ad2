"""The tables of cases that the Rust and the TypeScript client are held to as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from watertight_sse._errors import EventTooLargeError
from watertight_sse._subscriber.limits import MAX_EVENT_BYTES
from watertight_sse._subscriber.parser import Comment, ParsedEvent, Parser, Retry

_CASES = Path(__file__).resolve().parents[3] / "cases"
RETRY_MAX = 2**53 - 1
"""The largest number that the table writes; of more it says ``beyond``."""


def load(name: str) -> dict[str, Any]:
    """A table of ``clients/cases``."""
    return cast("dict[str, Any]", json.loads((_CASES / name).read_text(encoding="utf-8")))


def bytes_of(text: Any) -> bytes:
    """A text of the table of streams: a string, or a list of strings, hex and repetitions."""
    if isinstance(text, str):
        return text.encode()
    return b"".join(_part(part) for part in text)


def _part(part: Any) -> bytes:
    if isinstance(part, str):
        return part.encode()
    if "hex" in part:
        return bytes.fromhex(part["hex"])
    return cast("str", part["repeat"]).encode() * int(part["times"])


@dataclass
class Heard:
    """What a parser says of a stream that stays open."""

    events: list[tuple[str, str, str]]
    comments: list[str]
    retries: list[int]
    last_event_id: str
    is_too_large: bool = False


def meaning(case: dict[str, Any]) -> Heard:
    """What the table says."""
    return Heard(
        [(bytes_of(a).decode(), bytes_of(b).decode(), bytes_of(c).decode()) for a, b, c in case["events"]],
        [bytes_of(comment).decode() for comment in case["comments"]],
        [RETRY_MAX if retry == "beyond" else retry for retry in case["retries"]],
        bytes_of(case["lastEventId"]).decode(),
        case.get("isTooLarge", False),
    )


def hear(chunks: list[bytes], max_event_bytes: int | None = None, *, comments: bool = True) -> Heard:
    """What the parser says."""
    parser = Parser(max_event_bytes=max_event_bytes or MAX_EVENT_BYTES, comments=comments)
    heard = Heard([], [], [], "")
    try:
        for chunk in chunks:
            parser.feed(chunk)
            while (found := parser.next()) is not None:
                if isinstance(found, ParsedEvent):
                    heard.events.append((found.type, found.data, found.id))
                elif isinstance(found, Comment):
                    heard.comments.append(found.text)
                elif isinstance(found, Retry):
                    heard.retries.append(min(found.milliseconds, RETRY_MAX))
    except EventTooLargeError:
        heard.is_too_large = True
    heard.last_event_id = parser.last_event_id
    return heard
