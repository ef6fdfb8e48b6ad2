"""What outlives a loop or a lifespan of the application: a module's gateway, its clients, its timers."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message, Scope

from tests.kit.server import Server
from tests.kit.wait import eventually, soon
from watertight_sse._web import _relays
from watertight_sse._web._relays import Relays
from watertight_sse.starlette import Gateway, GatewayError

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}


async def never() -> Message:
    """What a reader says that stays."""
    message: Message = await asyncio.get_running_loop().create_future()
    return message


async def test_a_modules_gateway_relays_again_in_the_next_lifespan() -> None:
    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    async with Server() as server:
        gateway = Gateway(server.url, None)
        for _ in range(2):
            async with gateway:
                task = asyncio.create_task(gateway.relay(Request(SCOPE), "s")(SCOPE, never, send))
                await (await server.accept()).stream(hub=True)
                await eventually(lambda: bool(statuses), "the reader has a status")
                task.cancel()
                await asyncio.wait((task,))
            assert statuses.pop(0) == 200
            statuses.clear()
            with pytest.raises(GatewayError, match="SHUTTING_DOWN"):
                gateway._relays.enter()  # pyright: ignore[reportPrivateUsage]


async def test_the_clients_of_loops_that_have_ended_are_closed_and_let_go() -> None:
    async with Server() as server:
        gateway = Gateway(server.url, None)
        loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

        async def ask() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            await gateway.position("s")

        for _ in range(3):
            asking = asyncio.create_task(asyncio.to_thread(asyncio.run, ask()))
            peer = await server.accept()
            body = b'{"next":"1-1","events":[]}'
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)
            await soon(asking, "it is answered, and its loop ends")
            await eventually(lambda: not peer.is_open, "the kept connection is closed")  # noqa: B023
        gc.collect()
        assert [loop() for loop in loops] == [None, None, None]


async def test_the_client_of_a_loop_that_was_only_closed_is_let_go_by_the_next() -> None:
    gateway = Gateway("http://127.0.0.1:1", None)
    clients = gateway._clients  # pyright: ignore[reportPrivateUsage]

    async def use() -> None:
        clients.get()

    def in_a_loop_without_an_end() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
        return weakref.ref(loop)

    gone = await asyncio.to_thread(in_a_loop_without_an_end)
    clients.get()
    gc.collect()
    assert gone() is None
    await gateway.aclose()


def in_threads(count: int, work: Callable[[], None]) -> None:
    """The same in so many threads at once."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_streams_of_several_loops_have_timers_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_relays, "LOOK_EVERY", 0.0005)
    relays = Relays(10_000, is_server_stopping=lambda: False)
    errors: list[object] = []

    async def churn() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context.get("exception")))
        held = [relays.enter() for _ in range(300)]
        for _ in range(300):
            places = [relays.enter() for _ in range(50)]
            await asyncio.sleep(0)
            for place in places:
                relays.leave(place)
        for place in held:
            relays.leave(place)

    every = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads(3, lambda: asyncio.run(churn()))
    finally:
        sys.setswitchinterval(every)
    assert errors == []
    assert relays.count == 0


async def test_a_loop_that_was_closed_has_neither_places_nor_a_timer() -> None:
    relays = Relays(1)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def enter() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        relays.enter()

    await asyncio.to_thread(asyncio.run, enter())
    place = relays.enter()
    gc.collect()
    assert [loop() for loop in loops] == [None]
    relays.leave(place)
