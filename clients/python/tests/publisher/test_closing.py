"""What is under way when a publisher is closed, or cannot begin, comes to an end."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.kit.server import Peer, Server
from tests.kit.wait import PATIENCE, eventually, eventually_plain, soon
from tests.publisher.variants import AnyPublisher
from watertight_sse._publisher import PublisherClosedError, StoppedError
from watertight_sse.sync import Publisher as PlainPublisher

Make = Callable[..., AnyPublisher]


async def take(peer: Peer) -> None:
    """Answers that all of it is published."""
    ids = [f"id-{json.loads(line)['data']}" for line in peer.body.decode().split("\n")]
    await peer.answer(202, body=json.dumps({"ids": ids}))


async def test_many_that_is_cut_short_by_closing_says_how_far_it_came(publisher: Make) -> None:
    may_go_on = threading.Event()
    is_plain = publisher("http://h").is_plain

    def plain() -> Iterator[int]:
        yield 0
        assert may_go_on.wait(PATIENCE)
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 0
        await eventually(may_go_on.is_set, "it may go on")
        yield 1

    serving = Server(lambda peer: asyncio.ensure_future(take(peer)))
    async with serving as server:
        to = publisher(server.url)
        source: Any = plain() if is_plain else later()
        many = asyncio.create_task(to.publish_many("s", source))
        await eventually(lambda: len(server.peers) == 1, "the first is sent")
        await soon(to.close(), "it is closed")
        may_go_on.set()
        with pytest.raises(StoppedError) as caught:
            await soon(many, "it stops")
        assert (caught.value.count, caught.value.last_id) == (1, "id-0")
        assert isinstance(caught.value.__cause__, PublisherClosedError)


async def test_many_that_waits_for_room_while_the_publisher_closes_puts_nothing_behind_its_end() -> None:
    async with Server() as server:
        to = AnyPublisher("plain", server.url, batch_events=1)
        many = asyncio.create_task(to.publish_many("s", range(100)))
        await eventually(lambda: to.inner.buffered == 2, "two batches are held")
        closing = asyncio.create_task(to.close())
        await eventually(lambda: to.inner._is_closing, "it closes")
        for _ in range(2):
            await take(await server.accept())
        await soon(closing, "it is closed")
        with pytest.raises(StoppedError, match="stopped after 2 events: the publisher is closed"):
            await soon(many, "it stops")
        assert to.inner.buffered == 0


def test_closing_calls_no_handler_of_the_log_while_it_keeps_others_out() -> None:
    to = PlainPublisher("http://127.0.0.1:1", close_timeout=0.1)
    heard: list[BaseException | str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                to.enqueue("logs", record.getMessage())
            except PublisherClosedError as error:
                heard.extend((record.getMessage(), error))

    handler = Handler(logging.ERROR)
    logging.getLogger("watertight_sse").addHandler(handler)
    try:
        calling = threading.Thread(target=_fails, args=(to,), daemon=True)
        calling.start()
        eventually_plain(lambda: to.buffered == 1, "an event is in the buffer")
        closing = threading.Thread(target=to.close, daemon=True)
        closing.start()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        calling.join(PATIENCE)
        assert str(heard[0]) == "the publisher was closed with 1 events unsent"
        assert isinstance(heard[1], PublisherClosedError)
    finally:
        logging.getLogger("watertight_sse").removeHandler(handler)


def _fails(to: PlainPublisher) -> None:
    with pytest.raises(PublisherClosedError):
        to.publish("s", 1)


def test_where_no_thread_is_to_be_had_every_call_says_so() -> None:
    # A process of its own: what it may start is limited.
    program = (
        "import threading, sys\n"
        "from watertight_sse.sync import Publisher\n"
        "def start(thread):\n"
        '    raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start\n"
        "to = Publisher('http://127.0.0.1:1')\n"
        "for call in (\n"
        "    lambda: to.publish('s', 1),\n"
        "    lambda: to.enqueue('s', 1),\n"
        "    lambda: to.publish_many('s', [1, 2]),\n"
        "    lambda: to.end('s'),\n"
        "):\n"
        "    try:\n"
        "        call()\n"
        "    except RuntimeError as error:\n"
        "        print(error, to.buffered)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (run.stderr, run.stdout) == ("", "can't start new thread 0\n" * 4)
