"""The options of `subscribe` and `subscribe_url`, with their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

from .events import Status


class SubscribeOptions(TypedDict, total=False):
    """What both kinds of subscription take. Times are seconds."""

    headers: Mapping[str, str]
    """Sent with each attempt, to the origin of the subscription's own URL only."""
    last_event_id: str
    """Resume after the event with this id."""
    replay: Literal["all"] | int
    """Ask for history before the live events: all that the hub has, or so many. Has no effect beside `last_event_id`."""
    max_event_bytes: int
    """The largest event taken (1 MiB). A larger one raises `EventTooLarge`."""
    connect_timeout: float
    """The first byte of a stream must come within this time (30), redirects and head included."""
    read_timeout: float
    """Take a stream for dead after this much silence, instead of three heartbeats (at least 15)."""
    retry_base: float
    """The base of the back-off until the hub says another with `retry:` (1, at least 0.1)."""
    retry_max: float
    """No back-off is longer than this (60), whatever `retry:` says. What `Retry-After` says is waited out, up to 300."""
    max_retries: int
    """Raise `GaveUp` when so many retries in a row came to nothing. An event makes the count begin anew, and so does a
    connection over which bytes came for 30 s; that one was made does not. Without it, retries go on for ever."""
    polling: bool
    """Whether to fall back to long-poll where no stream comes through. On for `subscribe`; off for `subscribe_url`, unless
    `hub` is set."""
    polling_after: int
    """How many attempts in a row without a byte of a stream make it fall back (3, at least 1)."""
    on_status: Callable[[Status], None]
    """Called with what becomes of the connection, in order with the events. What it raises comes out of the loop."""
    on_comment: Callable[[str], None]
    """Called with comments of the stream, in order with the events, at most 1 KiB of each."""


class UrlOptions(TypedDict, total=False):
    """What `subscribe_url` takes beside that."""

    hub: bool
    """Whether a hub is at the other end: then `gap` and `error` are its own words, and long-poll is tried."""
    method: str
    """Another method than GET."""
    body: bytes | str
    """Sent with each attempt. Where a redirect keeps the method, it goes along, to another origin, too."""
