"""The decisions of a subscription without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from watertight_sse._event import Event, Gap
from watertight_sse._subscriber.aio import subscribe
from watertight_sse._subscriber.attempt import Attempt
from watertight_sse._subscriber.core import Core
from watertight_sse._subscriber.options import Options

HUB = {"content-type": "text/event-stream", "heartbeat-interval": "15"}
"""The head of a hub's stream."""


def options_of(url: str = "http://hub", session: str | None = "s", **options: Any) -> Options:
    """What ``subscribe`` makes of its arguments."""
    return subscribe(url, session, **options)._core.options  # pyright: ignore[reportPrivateUsage]  # what is tested here


def core_of(
    url: str = "http://hub",
    session: str | None = "s",
    *,
    random: Callable[[], float] = lambda: 0.0,
    **options: Any,
) -> Core:
    """The core of a subscription. Without more, its waits are as short as they may be."""
    return Core(options_of(url, session, **options), random=random)


def headers(**fields: str) -> httpx.Headers:
    """The head of an answer; underscores stand for hyphens."""
    return httpx.Headers({name.replace("_", "-"): value for name, value in fields.items()})


def begin(core: Core, now: float) -> Attempt:
    """The attempt that is due."""
    step = core.step(now)
    assert isinstance(step, Attempt), step
    step.send(None, now)
    return step


def open_stream(core: Core, now: float, head: dict[str, str] | None = None) -> Attempt:
    """The attempt that is due, answered with the head of a hub's stream."""
    attempt = begin(core, now)
    attempt.take_head(200, httpx.Headers(HUB if head is None else head), now, 0)
    return attempt


def items(attempt: Attempt, text: str, now: float) -> list[Event | Gap]:
    """What the attempt makes of these bytes."""
    attempt.feed(text.encode(), now)
    found: list[Event | Gap] = []
    while (item := attempt.next_item()) is not None:
        found.append(item)
    return found
