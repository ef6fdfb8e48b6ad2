"""Streams of servers that do as they are told, read by both variants over real sockets."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.kit.ports import free_port
from tests.kit.readers import END, Reader
from tests.kit.server import Server
from tests.kit.wait import eventually, soon
from watertight_sse import (
    Event,
    EventTooLargeError,
    GaveUpError,
    RequestError,
    StreamClosedError,
    UnexpectedAnswerError,
)

Read = Callable[..., Reader]
FAST: dict[str, Any] = {"retry_base": 0.001}
"""Comes back as soon as it may."""


async def test_it_comes_back_behind_the_last_event_after_every_kind_of_loss(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        for number in range(1, 5):
            waiting = reader.start_next()
            peer = await server.accept()
            assert peer.path == "/sessions/s/events"
            assert peer.headers.get("last-event-id") == (str(number - 1) if number > 1 else None)
            await peer.stream(f"id: {number}\ndata: x\n\nid: never\ndata: cut o", hub=True)
            assert await waiting == Event(str(number), "message", "x")
            if number % 2:
                peer.reset()
            else:
                peer.hang_up()
        assert reader.subscription.last_event_id == "4"


async def test_a_stream_that_falls_silent_is_noticed(read: Read) -> None:
    async with Server() as server, read(server.url, "s", read_timeout=0.3, **FAST) as reader:
        waiting = reader.start_next()
        first = await server.accept()
        await first.stream("id: 1\ndata: x\n\n", hub=True)
        await waiting
        waiting = reader.start_next()
        second = await server.accept()
        await first.closed()
        await second.stream("data: y\n\n", hub=True)
        assert await waiting == Event("1", "message", "y")
        assert "timed out waiting for the hub's heartbeat" in [
            str(status.error) for status in reader.statuses
        ]


def _has(told: list[str], text: str) -> bool:
    return text in told


async def test_comments_keep_a_stream_alive_and_are_told_to_whom_asks(read: Read) -> None:
    told: list[str] = []
    options = {"read_timeout": 3, "on_comment": told.append, **FAST}
    async with Server() as server, read(server.url, "s", **options) as reader:
        waiting = reader.start_next()
        peer = await (await server.accept()).stream(hub=True)
        # Longer than the stream may be silent.
        for number in range(11):
            await peer.say(f": {number}\n\n")
            await eventually(partial(_has, told, f" {number}"), "the comment is told")
            await asyncio.sleep(0.3)
        await peer.say("data: x\n\n")
        assert (await waiting, len(server.peers)) == (Event("", "message", "x"), 1)
        assert told == [f" {number}" for number in range(11)]


async def test_a_head_that_does_not_come_is_an_error_that_passes(read: Read) -> None:
    async with Server() as server, read(server.url, "s", connect_timeout=0.3, **FAST) as reader:
        waiting = reader.start_next()
        silent = await server.accept()
        while (peer := await server.accept_unless(waiting)) is not None:
            await peer.stream("data: x\n\n", hub=True)
        assert await waiting == Event("", "message", "x")
        await silent.closed()


async def test_a_head_that_comes_in_drops_does_not_take_longer_than_one_that_does_not_come(
    read: Read,
) -> None:
    async with Server() as server, read(server.url, "s", connect_timeout=0.5, max_retries=0) as reader:
        began = time.monotonic()
        waiting = reader.start_next()
        peer = await server.accept()
        while peer.is_open:
            assert time.monotonic() - began < 5
            await peer.say(b"H")
            await asyncio.sleep(0.05)
        with pytest.raises(GaveUpError):
            await waiting


@pytest.mark.parametrize(
    "status", [400, 402, 403, 404, 405, 406, 409, 410, 413, 422, 431, 451, 201, 206, 304]
)
async def test_a_status_that_no_attempt_can_mend_is_raised_once_and_ends_it(read: Read, status: int) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(status)
        with pytest.raises(RequestError) as caught:
            await waiting
        assert (caught.value.status, caught.value.can_retry) == (status, False)
        assert await reader.next() == END
        assert reader.state == "error"
        assert len(server.peers) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_status_that_may_pass_is_waited_out(read: Read, status: int) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(status)
        await (await server.accept()).stream("data: x\n\n", hub=True)
        assert await waiting == Event("", "message", "x")
        error = reader.statuses[1].error
        assert isinstance(error, RequestError)
        assert error.status == status


async def test_retry_after_is_waited_out(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        peer = await server.accept()
        began = time.monotonic()
        await peer.answer(503, {"retry-after": "1"})
        await (await server.accept()).stream("data: x\n\n", hub=True)
        assert time.monotonic() - began > 0.95
        await waiting


async def test_a_401_is_mended_by_a_fresh_token_once(read: Read) -> None:
    asked: list[bool] = []

    def token(*, refresh: bool) -> str:
        asked.append(refresh)
        return f"t{len(asked)}"

    async with Server() as server, read(server.url, "s", token=token, **FAST) as reader:
        waiting = reader.start_next()
        first = await server.accept()
        assert first.headers["authorization"] == "Bearer t1"
        await first.answer(401)
        second = await server.accept()
        assert second.headers["authorization"] == "Bearer t2"
        await second.answer(401, {"content-type": "application/problem+json"}, '{"code":"INVALID_TOKEN"}')
        with pytest.raises(RequestError, match="401 INVALID_TOKEN"):
            await waiting
        assert asked == [False, True]


async def test_a_token_that_is_a_text_is_over_with_the_first_401(read: Read) -> None:
    async with Server() as server, read(server.url, "s", token="t", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(401)
        with pytest.raises(RequestError):
            await waiting
        assert len(server.peers) == 1


async def test_a_token_function_that_fails_is_asked_again(read: Read) -> None:
    asked = 0

    def token() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise KeyError("secret")
        return "t"

    async with Server() as server, read(server.url, "s", token=token, **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).stream("data: x\n\n", hub=True)
        await waiting
        errors = [str(status.error) for status in reader.statuses if status.error]
        assert errors == ["cannot get a token: KeyError"] * 2


async def test_204_is_an_end(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(204)
        assert await waiting == END
        assert reader.subscription.status.reason == "no-content"


async def test_closing_events_end_it_or_not_as_their_code_says(read: Read) -> None:
    closing = 'event: error\ndata: {{"error":"why","code":"{}"}}\nretry: 100\n\n'
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).stream(closing.format("SHUTTING_DOWN"), hub=True)
        await (await server.accept()).stream("data: x\n\n", closing.format("TOKEN_REVOKED"), hub=True)
        assert await waiting == Event("", "message", "x")
        with pytest.raises(StreamClosedError, match="TOKEN_REVOKED: why"):
            await reader.next()
        await eventually(lambda: server.open() == 0, "the connection is given back")


async def test_an_event_over_the_limit_ends_it_and_closes_the_connection(read: Read) -> None:
    async with Server() as server, read(server.url, "s", max_event_bytes=1_000, **FAST) as reader:
        waiting = reader.start_next()
        peer = await (await server.accept()).stream("data: " + "x" * 1_001, hub=True)
        with pytest.raises(EventTooLargeError, match="larger than 1000 bytes"):
            await waiting
        await peer.closed()


async def test_what_is_no_event_stream_is_refused_and_its_connection_closed(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        peer = await server.accept()
        await peer.say("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>")
        with pytest.raises(UnexpectedAnswerError, match="text/html"):
            await waiting
        await peer.closed()


async def test_a_token_is_not_told_to_another_origin(read: Read) -> None:
    async with Server() as server, Server() as other:
        options = {"token": lambda: "t", "headers": {"x-key": "k"}, **FAST}
        async with read(server.url, "s", **options) as reader:
            waiting = reader.start_next()
            await (await server.accept()).answer(307, {"location": f"{other.url}/moved"})
            peer = await other.accept()
            assert not {"authorization", "x-key"} & peer.headers.keys()
            # And a new one would be of no use to it.
            await peer.answer(401)
            with pytest.raises(RequestError):
                await waiting


async def test_it_gives_up_after_so_many_retries(read: Read) -> None:
    async with Server() as server, read(server.url, "s", max_retries=2, **FAST) as reader:
        waiting = reader.start_next()
        for _ in range(3):
            (await server.accept()).reset()
        with pytest.raises(GaveUpError, match="gave up after 3 attempts: no connection: "):
            await waiting


async def test_nobody_listening_is_no_reason_to_give_up(read: Read) -> None:
    server = Server()
    port = free_port()
    async with read(f"http://127.0.0.1:{port}", "s", polling=False, retry_max=0.2) as reader:
        waiting = reader.start_next()
        await eventually(lambda: len(reader.statuses) >= 4, "it tries again and again")
        assert "ECONNREFUSED" in str(reader.statuses[-1].error)
        await server.start(port)
        await (await server.accept()).stream("data: x\n\n", hub=True)
        assert await waiting == Event("", "message", "x")
        await reader.close()
        await server.stop()


async def test_a_restart_is_a_new_connection_from_the_same_position_and_no_error(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        first = await (await server.accept()).stream("id: 1\ndata: x\n\n", hub=True)
        await waiting
        waiting = reader.start_next()
        await asyncio.sleep(0)
        reader.subscription.restart()
        second = await server.accept()
        assert second.headers["last-event-id"] == "1"
        await first.closed()
        await second.stream("id: 2\ndata: y\n\n", hub=True)
        assert (await waiting, [status.error for status in reader.statuses if status.error]) == (
            Event("2", "message", "y"),
            [],
        )


async def test_closing_ends_a_loop_that_waits_wherever_it_waits(read: Read) -> None:
    async with Server() as server:
        for stage in ("head", "first byte", "byte", "back-off"):
            async with read(server.url, "s") as reader:
                waiting = reader.start_next()
                peer = await server.accept()
                if stage == "back-off":
                    await peer.answer(503, {"retry-after": "100"})
                    await eventually(lambda: reader.state == "reconnecting", "it backs off")
                elif stage != "head":
                    await peer.stream(*([": hello\n"] if stage == "byte" else []), hub=True)
                    if stage == "byte":
                        await eventually(lambda: reader.state == "open", "it is open")
                began = time.monotonic()
                await reader.close()
                assert await soon(waiting, f"the loop that waits for its {stage} ends") == END
                assert time.monotonic() - began < 8, "none of its time limits is as short"
                assert reader.subscription.status.reason == "disconnected"
                await peer.closed()
                assert await reader.next() == END


async def test_what_a_callback_raises_the_loop_raises_and_may_go_on(read: Read) -> None:
    calls = 0

    def on_state(status: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise LookupError("mine")

    async with Server() as server, read(server.url, "s", on_state=on_state, **FAST) as reader:
        waiting = reader.start_next()
        first = await (await server.accept()).stream(": hello\n\n", hub=True)
        with pytest.raises(LookupError, match="mine"):
            await waiting
        await first.closed()
        waiting = reader.start_next()
        await (await server.accept()).stream("data: x\n\n", hub=True)
        assert await waiting == Event("", "message", "x")


async def test_headers_may_come_from_a_function_that_is_asked_before_each_attempt(read: Read) -> None:
    asked = 0

    def headers() -> dict[str, str]:
        nonlocal asked
        asked += 1
        return {"x-turn": str(asked), "accept": "text/event-stream, */*;q=0.1"}

    async with Server() as server, read(server.url, "s", headers=headers, **FAST) as reader:
        waiting = reader.start_next()
        for turn in ("1", "2"):
            peer = await server.accept()
            assert (peer.headers["x-turn"], peer.headers["accept"]) == (turn, "text/event-stream, */*;q=0.1")
            peer.reset()
        await reader.close()
        assert await waiting == END


async def test_a_server_without_heartbeats_may_be_silent_for_ever(read: Read) -> None:
    async with Server() as server, read(f"{server.url}/x", read_timeout=math.inf, **FAST) as reader:
        waiting = reader.start_next()
        peer = await (await server.accept()).stream()
        await eventually(lambda: reader.state == "open", "it is open without a byte")
        await peer.say("data: x\n\n")
        assert await waiting == Event("", "message", "x")


async def test_an_encoding_that_was_not_asked_for_is_refused(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        peer = await server.accept()
        assert peer.headers["accept-encoding"] == "identity"
        await peer.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n")
        with pytest.raises(UnexpectedAnswerError, match="compressed"):
            await waiting


async def test_cookies_of_servers_are_not_kept(read: Read) -> None:
    async with Server() as server, read(server.url, "s", **FAST) as reader:
        waiting = reader.start_next()
        await (await server.accept()).answer(503, {"set-cookie": "a=b; Path=/"})
        peer = await server.accept()
        assert "cookie" not in peer.headers
        await peer.stream("data: x\n\n", hub=True)
        await waiting
