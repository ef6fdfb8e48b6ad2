"""Whatever interrupts a subscription where it stands (the application, another thread), nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.kit.pure import HUB, begin, core_of, headers, items, open_stream, options_of
from tests.kit.readers import END, Reader
from tests.kit.server import Server
from tests.kit.wait import soon
from watertight_sse import ConnectionStatus, Event, Subscription
from watertight_sse._errors import RequestError, TokenError
from watertight_sse._subscriber.attempt import Attempt, Move
from watertight_sse._subscriber.core import Core

FIRST, SECOND = "mg931z5aashp-1", "mg931z5aashp-2"
Read = Callable[..., Reader]


def raising_once() -> Callable[[ConnectionStatus], None]:
    """Raises when the failures are over: at the first item of a connection that came back."""
    told: list[ConnectionStatus] = []

    def on_state(status: ConnectionStatus) -> None:
        if status.state == "open" and status.failures == 0:
            told.append(status)
            if len(told) == 1:
                raise LookupError("mine")

    return on_state


def come_back(core: Core) -> Attempt:
    """The stream that follows a failed attempt."""
    attempt = begin(core, 0)
    attempt.failed(RequestError("gone"))
    core.finish(attempt, 0)
    return open_stream(core, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"id: {SECOND}\ndata: x\n\n",
        f'id: {SECOND}\nevent: gap\ndata: {{"from":null,"to":"{SECOND}","missed":1,"reason":"evicted"}}\n\n',
    ],
    ids=["event", "gap"],
)
def test_an_item_at_which_on_state_raises_comes_again(text: str) -> None:
    core = core_of(last_event_id=FIRST, on_state=raising_once())
    attempt = come_back(core)
    with pytest.raises(LookupError, match="mine"):
        items(attempt, text, 1)
    core.drop(attempt)
    assert (core.cursor.id, attempt.has_progress) == (FIRST, False)
    (item,) = items(open_stream(core, 2), text, 2)
    assert (item.id, core.cursor.id) == (SECOND, SECOND)


async def test_an_event_at_which_on_state_raises_is_given_by_the_next_connection(read: Read) -> None:
    options = {"on_state": raising_once(), "retry_base": 0.001, "last_event_id": FIRST}
    async with Server() as server, read(server.url, "s", **options) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(503)
        await (await server.accept()).stream(f": hi\n\nid: {SECOND}\ndata: x\n\n", hub=True)
        with pytest.raises(LookupError, match="mine"):
            await waiting
        assert reader.subscription.last_event_id == FIRST
        waiting = reader.start_next()
        peer = await server.accept()
        assert peer.headers["last-event-id"] == FIRST
        await peer.stream(f": hi\n\nid: {SECOND}\ndata: x\n\n", hub=True)
        assert await soon(waiting, "it comes again") == Event(SECOND, "message", "x")


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_closing_gives_everything_back_whatever_on_state_raises(read: Read, is_waiting: bool) -> None:
    def on_state(status: ConnectionStatus) -> None:
        if status.state == "closed":
            raise LookupError("mine")

    async with Server() as server, read(server.url, "s", on_state=on_state) as reader:
        waiting = reader.start_next()
        peer = await (await server.accept()).stream("data: x\n\n", hub=True)
        await waiting
        if is_waiting:
            waiting = reader.start_next()
            await asyncio.sleep(0)
        events = reader.subscription
        if isinstance(events, Subscription):
            closing: Awaitable[None] = events.aclose()
        else:
            closing = asyncio.get_running_loop().run_in_executor(None, events.close)
        with pytest.raises(LookupError, match="mine"):
            await closing
        await peer.closed()
        if is_waiting:
            assert await soon(waiting, "the loop ends") == END


def test_an_attempt_that_ends_while_another_thread_breaks_it_off_is_no_error() -> None:
    class Racing(Core):
        """Its own thread ends the attempt just after another one has looked at it."""

        is_racing = False

        def __getattribute__(self, name: str) -> object:
            value = super().__getattribute__(name)
            if name == "_attempt" and self.is_racing:
                self._attempt = None
            return value

    for call in (Core.restart, Core.close):
        core = Racing(options_of())
        attempt = begin(core, 0)
        core.is_racing = True
        call(core)
        assert attempt.is_broken_off


def test_after_a_cancelled_wait_a_token_is_refreshed_only_if_none_was_let_in() -> None:
    core = core_of(token=lambda: "t")
    attempt = begin(core, 0)
    assert attempt.take_head(401, headers(), 0, 0) is Move.REFRESH
    core.drop(attempt)
    attempt = begin(core, 10)
    assert attempt.refresh, "nobody knows whether the fresh one will do"
    assert attempt.take_head(200, headers(content_type=HUB["content-type"]), 10, 0) is Move.STREAM
    core.drop(attempt)
    assert not begin(core, 20).refresh


def test_a_fresh_token_that_could_not_be_had_is_asked_for_again() -> None:
    core = core_of(token=lambda: "t")
    attempt = begin(core, 0)
    assert attempt.take_head(401, headers(), 0, 0) is Move.REFRESH
    attempt.failed(TokenError("none"))
    core.finish(attempt, 0)
    assert begin(core, 10).refresh
