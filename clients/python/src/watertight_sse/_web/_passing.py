"""Which parts of a request and of an answer pass through a relay. Knows no socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ID_PARAMETER = "lasteventid"
_PARAMETERS = frozenset({"after", "replay", "wait", "limit"})
"""What else a hub takes when a stream begins."""
_REQUEST_HEADERS = ("accept", "last-event-id")
"""Nothing that proves who asks: neither cookies nor tokens of the page's get to the hub."""
_ANSWER_HEADERS = (
    "cache-control",
    "content-length",
    "content-type",
    "heartbeat-interval",
    "referrer-policy",
    "retry-after",
    "x-accel-buffering",
    "x-content-type-options",
)
"""Nothing about the connection to the hub, and nothing for pages of other origins: that is for the application to say."""


def query_for_hub(parameters: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters that say where a stream or a long-poll begins. A hub refuses those it does not know, and the application's
    own, credentials among them, are none of its business.
    """
    return [(name, value) for name, value in parameters if _is_for_hub(name)]


def _is_for_hub(name: str) -> bool:
    return name in _PARAMETERS or name.lower().replace("-", "").replace("_", "") == _ID_PARAMETER


def headers_for_hub(headers: Mapping[str, str], bearer: str | None) -> list[tuple[bytes, bytes]]:
    """The header of the request to the hub. An id may hold any character of UTF-8, so bytes are passed as they came."""
    passed = [
        (name.encode(), headers[name].encode("latin-1")) for name in _REQUEST_HEADERS if name in headers
    ]
    if "accept" not in headers:
        passed.append((b"accept", b"text/event-stream"))
    if bearer is not None:
        passed.append((b"authorization", bearer.encode()))
    return passed


def headers_for_reader(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The header of the answer to the reader."""
    passed = [(name.encode(), headers[name].encode("latin-1")) for name in _ANSWER_HEADERS if name in headers]
    passed.append((b"vary", b"accept"))
    return passed


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether the answer is an event stream."""
    return headers.get("content-type", "").split(";")[0].strip().lower() == "text/event-stream"


def silence_limit(headers: Mapping[str, str], least: float) -> float:
    """Seconds without a byte after which the hub counts as gone: three of its heartbeats."""
    try:
        interval = float(headers.get("heartbeat-interval", ""))
    except ValueError:
        return least
    # Written so that NaN is none of them.
    return min(max(3 * interval, least), 600.0) if interval > 0 else least
