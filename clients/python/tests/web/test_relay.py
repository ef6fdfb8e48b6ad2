"""Streams that go through the application's own route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Scope

from tests.kit.hub import HubProcess
from tests.kit.server import Peer, Server
from tests.kit.wait import eventually, soon
from tests.web.kit import App, client, protected_hub, run
from watertight_sse import Event, Gap, subscribe
from watertight_sse._web._passage import Passage
from watertight_sse._web._relay import RelayResponse
from watertight_sse._web._relays import Relays
from watertight_sse.starlette import Gateway, GatewayError, relay

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
"""A request that no server has."""


async def never() -> Message:
    """What a reader says that stays."""
    message: Message = await asyncio.get_running_loop().create_future()
    return message


def relaying(gateway: Gateway, *, middleware: bool = False) -> Starlette:
    """An application with nothing but the route."""

    async def stream(request: Request) -> Response:
        return relay(request, request.path_params["session"], gateway)

    async def through(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-through"] = "yes"
        return response

    layers = [Middleware(BaseHTTPMiddleware, dispatch=through)] if middleware else []
    return Starlette(
        routes=[Route("/stream/{session:path}", stream, methods=["GET", "HEAD"])], middleware=layers
    )


async def read_until(chunks: AsyncIterator[bytes], end: bytes) -> bytes:
    """What came, up to ``end``."""
    got = b""
    async for chunk in chunks:
        got += chunk
        if end in got:
            return got
    raise AssertionError(f"the stream ended with {got!r}")


async def nothing_is_left(app: App, gateway: Gateway, hub: HubProcess) -> None:
    """At the application and at the hub."""
    await eventually(lambda: gateway.relayed == 0, "nothing is relayed any more")
    await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")
    await eventually(lambda: app.connections() == 0, "the application has no connection")


@pytest.mark.parametrize("middleware", [False, True])
async def test_the_bytes_and_the_head_are_the_hubs(tmp_path: Path, middleware: bool) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        hub.publish("a/b", ["1"])
        async with Gateway(hub.url, minter) as gateway, run(relaying(gateway, middleware=middleware)) as app:
            async with client(app.url) as page, page.stream("GET", "/stream/a/b?replay=all&mine=1") as answer:
                assert answer.status_code == 200
                got = answer.aiter_raw()
                first = await soon(read_until(got, b'data: "1"\n\n'), "the first comes")
                hub.publish("a/b", ["zwei ü"], type="t")
                then = await soon(read_until(got, b"\n\n"), "the second comes at once")
                assert gateway.relayed == 1
            await nothing_is_left(app, gateway, hub)
            token = minter.mint(subscribe=["sessions/**"])
            own = {"authorization": f"Bearer {token}"}
            straight = httpx.stream("GET", f"{hub.url}/sessions/a%2Fb/events?replay=all", headers=own)
            with straight as hubs:
                assert first.startswith(b": watertight\nretry: ")
                for name in ("content-type", "cache-control", "x-accel-buffering", "heartbeat-interval"):
                    assert answer.headers[name] == hubs.headers[name]
    assert then.split(b"\n", 1)[1] == b'event: t\ndata: "zwei \\u00fc"\n\n'
    assert answer.headers.get("x-through") == ("yes" if middleware else None)


async def test_a_reader_that_leaves_is_noticed_while_the_hub_is_silent(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path, "--heartbeat-interval", "25s")
    with hub:
        for middleware in (False, True):
            async with (
                Gateway(hub.url, minter) as gateway,
                run(relaying(gateway, middleware=middleware)) as app,
                client(app.url) as page,
            ):
                for _ in range(5):
                    async with page.stream("GET", "/stream/s") as answer:
                        await soon(read_until(answer.aiter_raw(), b"\n\n"), "it begins")
                    started = asyncio.get_running_loop().time()
                    await nothing_is_left(app, gateway, hub)
                    assert asyncio.get_running_loop().time() - started < 15, "before the next heartbeat"


async def test_a_reader_that_leaves_while_the_hub_does_not_answer_is_noticed() -> None:
    async with (
        Server() as server,
        Gateway(server.url, None) as gateway,
        run(relaying(gateway)) as app,
        client(app.url) as page,
    ):
        task = asyncio.create_task(page.get("/stream/s"))
        peer = await server.accept()
        task.cancel()
        await asyncio.wait((task,))
        await peer.closed()
        await eventually(lambda: gateway.relayed == 0, "nothing is relayed any more")


async def test_resuming_and_long_polls_pass_and_nothing_of_the_users_does() -> None:
    async with (
        Server() as server,
        Gateway(server.url, None) as gateway,
        run(relaying(gateway)) as app,
        client(app.url) as page,
    ):

        async def ask(path: str, headers: dict[str, str | bytes]) -> tuple[Peer, httpx.Response]:
            fields = [
                (name, value.encode() if isinstance(value, str) else value) for name, value in headers.items()
            ]
            task = asyncio.create_task(
                page.get(path, headers=[(name.encode(), value) for name, value in fields])
            )
            peer = await server.accept()
            head = {
                "content-type": "application/json",
                "set-cookie": "hub=1",
                "access-control-allow-origin": "*",
            }
            await peer.answer(200, head, '{"events":[]}')
            return peer, await soon(task, "it is answered")

        peer, answer = await ask(
            "/stream/s?wait=1&limit=5&after=9-1&access_token=x&own=1", {"accept": "application/json"}
        )
        assert peer.path == "/sessions/s/events?wait=1&limit=5&after=9-1"
        assert answer.json() == {"events": []}
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
        peer, _ = await ask("/stream/s?Last-Event-ID=9-2&replay=5", {"last-event-id": "9-ü"})
        assert peer.path == "/sessions/s/events?Last-Event-ID=9-2&replay=5"
        assert peer.headers["last-event-id"] == "9-ü"
        assert "authorization" not in peer.headers
        assert "cookie" not in peer.headers


async def test_a_client_resumes_through_the_relay_when_the_hub_was_killed(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with Gateway(hub.url, minter) as gateway, run(relaying(gateway)) as app:
            got: list[Any] = []

            async def follow() -> None:
                async with subscribe(f"{app.url}/stream/s") as events:
                    async for event in events:
                        got.append(event)

            following = asyncio.create_task(follow())
            await eventually(lambda: hub.subscribers() == 1, "it is there")
            hub.publish("s", ["1"])
            await eventually(lambda: len(got) == 1, "the first comes")
            hub.restart()
            await eventually(lambda: hub.subscribers() == 1, "it is back")
            hub.publish("s", ["2"])
            await eventually(
                lambda: [event.data for event in got if isinstance(event, Event)] == ['"1"', '"2"'],
                "both came",
            )
            assert [event.reason for event in got if isinstance(event, Gap)] == ["epoch"]
            following.cancel()
            await asyncio.wait((following,))
            await nothing_is_left(app, gateway, hub)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (503, "TOO_MANY_SESSIONS", (503, "TOO_MANY_SESSIONS")),
        (429, "TOO_MANY_STREAMS", (503, "TOO_MANY_STREAMS")),
        (400, "INVALID_PARAMETER", (400, "INVALID_PARAMETER")),
        (401, "INVALID_TOKEN", (502, "HUB_REFUSED")),
        (403, "FORBIDDEN", (502, "HUB_REFUSED")),
        (302, "", (502, "HUB_REFUSED")),
    ],
)
async def test_a_refusal_of_the_hub_is_told_as_what_it_is_for_the_reader(
    status: int, code: str, told: tuple[int, str]
) -> None:
    async with (
        Server() as server,
        Gateway(server.url, None) as gateway,
        run(relaying(gateway)) as app,
        client(app.url) as page,
    ):
        task = asyncio.create_task(page.get("/stream/s"))
        peer = await server.accept()
        await peer.answer(
            status, {"retry-after": "9", "location": "/x"}, json.dumps({"code": code, "detail": "d"})
        )
        answer = await soon(task, "it is refused")
    assert (answer.status_code, answer.json()["code"]) == told
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == ("9" if told[0] == 503 else None)


async def test_a_hub_that_is_away_is_503_and_one_that_is_lost_ends_the_stream_in_good_order() -> None:
    async with (
        Server() as server,
        Gateway(server.url, None) as gateway,
        run(relaying(gateway)) as app,
        client(app.url) as page,
    ):
        task = asyncio.create_task(page.get("/stream/s"))
        await (await server.accept()).stream("id: 1\ndata: x\n\n", hub=True)
        await eventually(lambda: gateway.relayed == 1, "it is relayed")
        server.peers[-1].reset()
        assert (await soon(task, "it ends")).text == "id: 1\ndata: x\n\n"
        task = asyncio.create_task(page.get("/stream/s", headers={"accept": "application/json"}))
        peer = await server.accept()
        await peer.say(
            'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"events":['
        )
        peer.reset()
        with pytest.raises(httpx.RemoteProtocolError):
            await soon(task, "half an answer is no answer")
        await server.stop()
        answer = await soon(page.get("/stream/s"), "it is refused")
    assert (answer.status_code, answer.json()["code"]) == (503, "HUB_UNAVAILABLE")
    assert 1 <= int(answer.headers["retry-after"]) <= 5


async def _read_to_its_end(page: httpx.AsyncClient) -> AsyncGenerator[str, None]:
    """What came first of a relayed stream, and then, when it has ended, all the rest."""
    async with page.stream("GET", "/stream/s") as answer:
        parts = answer.aiter_text()
        yield await anext(parts)
        yield "".join([part async for part in parts])


async def test_a_server_that_stops_tells_readers_to_come_back_and_ends(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with (
            Gateway(hub.url, minter) as gateway,
            run(relaying(gateway)) as app,
            client(app.url) as page,
        ):
            reading = [_read_to_its_end(page) for _ in range(20)]
            for stream in reading:
                await soon(anext(stream), "it has begun")
            await app.stop()
            ends = {(await soon(anext(stream), "it ends")).split("\n\n")[-2] for stream in reading}
            for stream in reading:
                await stream.aclose()
            assert all("SHUTTING_DOWN" in end for end in ends), ends
            assert len({end.rsplit("\n", 1)[1] for end in ends}) > 1, "they do not come back together"
            await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")


async def test_the_application_may_end_all_streams_itself(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with (
            Gateway(hub.url, minter) as gateway,
            run(relaying(gateway)) as app,
            client(app.url) as page,
        ):
            task = asyncio.create_task(page.get("/stream/s"))
            await eventually(lambda: hub.subscribers() == 1, "it is there")
            gateway.end_relays()
            assert "SHUTTING_DOWN" in (await soon(task, "it ends")).text
            answer = await page.get("/stream/s")
            assert (answer.status_code, answer.json()["code"]) == (503, "SHUTTING_DOWN")
        assert gateway.relayed == 0


async def test_more_streams_than_there_may_be_are_refused_and_places_come_back(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with Gateway(hub.url, minter, max_relays=2) as gateway, run(relaying(gateway)) as app:
            async with client(app.url) as page:
                tasks = [asyncio.create_task(page.get("/stream/s")) for _ in range(2)]
                await eventually(lambda: hub.subscribers() == 2, "both are there")
                answer = await page.get("/stream/s")
                assert (answer.status_code, answer.json()["code"]) == (503, "TOO_MANY_STREAMS")
                tasks[0].cancel()
                await eventually(lambda: gateway.relayed == 1, "a place is free")
                async with page.stream("GET", "/stream/s") as answer:
                    assert answer.status_code == 200
                tasks[1].cancel()
                await asyncio.wait(tasks)
            await nothing_is_left(app, gateway, hub)


async def test_a_stream_ends_when_it_has_lived_long_enough(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with Gateway(hub.url, minter, relay_lifetime=1) as gateway, run(relaying(gateway)) as app:
            async with client(app.url) as page:
                answer = await soon(page.get("/stream/s"), "it ends")
            assert answer.text.startswith(": watertight")
            assert "TOKEN_EXPIRED" not in answer.text, "it is not the hub that ends it"
            await nothing_is_left(app, gateway, hub)


async def test_a_head_is_answered_and_opens_nothing(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with (
            Gateway(hub.url, minter) as gateway,
            run(relaying(gateway)) as app,
            client(app.url) as page,
        ):
            answer = await soon(page.head("/stream/s"), "it is answered")
            assert answer.headers["content-type"].startswith("text/event-stream")
            await eventually(lambda: gateway.relayed == 0, "nothing is relayed")


async def test_an_answer_that_is_thrown_away_has_opened_nothing() -> None:
    async with Server() as server, Gateway(server.url, None) as gateway:
        relay(Request(SCOPE), "s", gateway)
        assert gateway.relayed == 0
        assert not server.peers
        with pytest.raises(ValueError, match="star"):
            relay(Request(SCOPE), "a*", gateway)


async def test_cancelled_at_any_await_a_relay_gives_everything_back(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with Gateway(hub.url, minter) as gateway:
            tasks = len(asyncio.all_tasks())
            for turns in range(120):
                request = Request(SCOPE)
                hub.publish("s", ["x"]) if turns % 10 == 0 else None

                async def send(message: Any) -> None:
                    await asyncio.sleep(0)

                task = asyncio.create_task(relay(request, "s", gateway)(SCOPE, never, send))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait((task,))
                assert task.cancelled()
                assert gateway.relayed == 0
                assert len(asyncio.all_tasks()) <= tasks
            await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")


async def test_who_is_late_is_found_out_and_only_who_is() -> None:
    now = 0.0
    stuck = asyncio.Event()

    async def send(message: Any) -> None:
        await stuck.wait()

    passage = Passage(send, head_timeout=15, stall_timeout=30, clock=lambda: now)
    assert passage.remaining == 15
    now = 14.9
    assert not passage.is_hub_late
    now = 15.0
    assert passage.is_hub_late
    assert not passage.is_reader_late
    begins = asyncio.create_task(
        passage.begin({"content-type": "text/event-stream", "heartbeat-interval": "20"})
    )
    await asyncio.sleep(0)
    now = 44.9
    assert not passage.is_reader_late
    assert not passage.is_hub_late, "it is the reader who is waited for"
    now = 45.0
    assert passage.is_reader_late
    stuck.set()
    await begins
    assert not passage.is_hub_late
    now = 104.9
    assert not passage.is_hub_late, "three heartbeats"
    now = 105.0
    assert passage.is_hub_late
    assert not passage.is_reader_late


async def test_closing_words_never_stand_inside_an_event() -> None:
    wire: list[bytes] = []

    async def send(message: Any) -> None:
        wire.append(message.get("body", b""))
        if wire[-1].startswith(b"id: 2"):
            # Written, then waits for the reader: as servers do.
            await never()

    passage = Passage(send)
    await passage.begin({"content-type": "text/event-stream"})
    await passage.put(b"id: 1\ndata: whole\n\n")
    task = asyncio.create_task(passage.put(b"id: 2\ndata: the first ha"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    await passage.end(is_stopping=True)
    assert wire[-2:] == [b"id: 2\ndata: the first ha", b""]


async def test_a_reader_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    hub, minter = protected_hub(tmp_path)
    with hub:
        async with Gateway(hub.url, minter) as gateway:
            response = gateway.relay(Request(SCOPE), "s")
            assert isinstance(response, RelayResponse)
            response._stall_timeout = 0.2  # pyright: ignore[reportPrivateUsage] - 30 s are too long for a test
            messages: list[Any] = []

            async def send(message: Any) -> None:
                messages.append(message)
                if message["type"] == "http.response.body":
                    await asyncio.get_running_loop().create_future()

            await soon(response(SCOPE, never, send), "it ends")
            assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
            assert messages[-1]["more_body"], "the answer stays incomplete"
            await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")


async def test_a_server_that_stops_begins_no_further_stream() -> None:
    is_stopping = False
    relays = Relays(2, is_server_stopping=lambda: is_stopping)
    place = relays.enter()
    is_stopping = True
    with pytest.raises(GatewayError, match="503 SHUTTING_DOWN"):
        relays.enter()
    await soon(place.end, "the one that is open is asked to end")
    relays.leave(place)
    assert relays.count == 0


async def test_a_place_asks_no_loop_that_is_gone() -> None:
    relays = Relays(1)
    loop = asyncio.new_event_loop()

    async def enter() -> None:
        relays.enter()

    await asyncio.to_thread(loop.run_until_complete, enter())
    loop.close()
    relays.stop()
    assert relays.is_stopping
