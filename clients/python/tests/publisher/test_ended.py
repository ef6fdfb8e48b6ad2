"""A task or a thread of a publisher that is ended by somebody else takes its request with it, and nothing more."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

import pytest

from tests.kit.server import Peer, Server
from tests.kit.wait import eventually, soon
from tests.publisher.variants import AnyPublisher
from watertight_sse import Publisher, RequestError, TokenError
from watertight_sse._publisher import UnsentError

Make = Callable[..., AnyPublisher]


async def take(peer: Peer) -> None:
    """Answers that all of it is published."""
    ids = [str(json.loads(line)["data"]) for line in peer.body.decode().split("\n")]
    await peer.answer(202, body=json.dumps({"ids": ids}))


def serving() -> Server:
    """A server that takes everything."""
    return Server(lambda peer: asyncio.ensure_future(take(peer)))


def senders() -> list[asyncio.Task[object]]:
    """The publisher's own tasks."""
    return [task for task in asyncio.all_tasks() if "Senders" in repr(task)]


async def test_a_refresh_that_several_wait_for_and_somebody_cancels_is_an_error_that_passes() -> None:
    told: list[Exception] = []
    refresh: asyncio.Task[str] | None = None

    async def fetch() -> str:
        await asyncio.get_running_loop().create_future()
        return "never"

    async def token() -> str:
        nonlocal refresh
        if told:
            return "later"
        if refresh is None:
            refresh = asyncio.create_task(fetch())
        return await refresh

    def on_retry(error: Exception, _delay: float) -> None:
        told.append(error)

    async with serving() as server, Publisher(server.url, token=token, on_retry=on_retry) as publisher:
        calls = [asyncio.create_task(publisher.publish(name, 1)) for name in ("a", "b")]
        await eventually(lambda: refresh is not None, "both wait for a token")
        await asyncio.sleep(0)
        assert refresh is not None
        refresh.cancel()
        assert await soon(asyncio.gather(*calls), "both are published") == ["1", "1"]
        assert {type(error) for error in told} == {TokenError}
        assert {str(error) for error in told} == {"cannot get a token: CancelledError"}


@pytest.mark.parametrize("turns", range(6))
async def test_a_sender_that_somebody_cancels_at_whatever_moment_keeps_no_session_waiting(turns: int) -> None:
    async with serving() as server, Publisher(server.url, in_flight_max=1) as publisher:
        await publisher.enqueue("a", 0)
        await publisher.enqueue("b", 1)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in senders():
            task.cancel()
        await eventually(lambda: publisher.buffered == 0, "what is left is sent by another")
        assert publisher.failed <= 1
        calls = asyncio.gather(*(publisher.publish(name, 2) for name in "abc"))
        assert await soon(calls, "it still publishes") == ["2"] * 3
        if publisher.failed:
            with pytest.raises(UnsentError, match="ended before the answer: CancelledError"):
                await publisher.flush()


async def test_closing_after_all_tasks_were_cancelled_does_not_wait_for_an_answer_that_nobody_hears() -> None:
    async with Server() as server:
        publisher = Publisher(server.url, close_timeout=None)
        call = asyncio.create_task(publisher.publish("s", 1))
        await server.accept()
        for task in senders():
            task.cancel()
        with pytest.raises(RequestError, match="ended before the answer"):
            await soon(call, "it hears of it")
        await soon(publisher.aclose(), "it is closed")


def test_a_loop_that_ends_while_a_publisher_is_open_hears_nothing_of_it(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        publisher = Publisher("http://127.0.0.1:1")
        for name in "abc":
            await publisher.enqueue(name, 1)

    asyncio.run(leave())
    assert not recwarn.list
    assert "destroyed" not in caplog.text


async def test_a_function_that_exits_ends_neither_the_plain_publisher_nor_the_wait_for_it() -> None:
    asked = 0

    def token() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            sys.exit("no more")
        return "t"

    async with serving() as server, AnyPublisher("plain", server.url, token=token, in_flight_max=1) as to:
        with pytest.raises(RequestError, match="ended before the answer: SystemExit"):
            await soon(to.publish("s", 1), "it hears of it")
        assert await soon(to.publish("s", 2), "it still publishes") == "2"
