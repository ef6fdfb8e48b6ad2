"""What a subscription on asyncio promises, against bytes on a socket."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc

import pytest

from watertight_sse import (
    Connecting,
    Event,
    EventTooLarge,
    Gap,
    InvalidOption,
    Open,
    Refused,
    Status,
    TokenFailed,
    Waiting,
    subscribe,
    subscribe_url,
)
from watertight_sse.limits import QUEUE_EVENTS_MAX
from watertight_sse.plan import hub_plan

from .kit import CYCLES, HEAD, Peer, Script, eventually, on_loop


def endless(peer: Peer) -> None:
    """A stream with one event, which stays open."""
    peer.request()
    peer.say(HEAD + b"id: 7-1\ndata: x\n\n")
    peer.closed()


@on_loop
async def test_it_comes_back_with_the_last_id_on_every_connection() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        number = len(script.requests)
        peer.say(HEAD + f"retry: 1\nid: 7-{number}\ndata: x\n\nid: 9-9\ndata: cut off in the mid".encode())

    with Script(serve) as script:
        async with subscribe(script.url, "demo", retry_max=0.1) as subscription:
            seen = [await anext(subscription) for _ in range(4)]
            assert seen == [Event("message", "x", f"7-{n}") for n in (1, 2, 3, 4)]
            assert subscription.last_event_id == "7-4"
        heads = [head for head, _ in script.requests[:4]]
        assert all(head.startswith("get /sessions/demo/events http/1.1") for head in heads)
        assert all("accept: text/event-stream" in head for head in heads)
        assert "last-event-id" not in heads[0]
        assert [f"last-event-id: 7-{n}" in head for n, head in enumerate(heads) if n] == [True] * 3


@on_loop
async def test_leaving_the_loop_closes_the_connection() -> None:
    with Script(endless) as script:
        async for event in subscribe(script.url, "demo"):
            assert event == Event("message", "x", "7-1")
            break
        gc.collect()
        await eventually(lambda: script.connections == 1 and script.open == 0)
        await eventually(lambda: len(asyncio.all_tasks()) == 1)


def test_leaving_the_loop_at_the_very_end_of_the_program_closes_it_too(recwarn: pytest.WarningsRecorder) -> None:
    async def main() -> None:
        async for _ in subscribe(script.url, "demo"):
            return

    with Script(endless) as script:
        asyncio.run(main())
        gc.collect()
        asyncio.run(eventually(lambda: script.open == 0))
    assert [str(warning.message) for warning in recwarn] == []


@on_loop
async def test_a_step_that_is_cancelled_loses_nothing() -> None:
    go = threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD)
        for byte in b"data: 1\n\ndata: 2\n\ndata: 3\n\n":
            peer.say(bytes([byte]))
            go.wait(0.002)
        peer.closed()

    with Script(serve) as script:
        async with subscribe(script.url, "demo") as subscription:
            seen: list[str] = []
            cancelled = 0
            while len(seen) < 3:
                try:
                    event = await asyncio.wait_for(anext(subscription), 0.001)
                except (TimeoutError, asyncio.TimeoutError):
                    cancelled += 1
                else:
                    assert isinstance(event, Event)
                    seen.append(event.data)
            assert seen == ["1", "2", "3"]
            assert cancelled > 3
        assert script.connections == 1


@on_loop
async def test_closing_wins_wherever_it_is() -> None:
    gate = threading.Event()

    def mute_head(peer: Peer) -> None:
        peer.request()
        peer.closed()

    def mute_stream(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD)
        peer.closed()

    def mid_line(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b"data: x")
        peer.closed()

    def refusing(peer: Peer) -> None:
        peer.request()
        peer.answer("503 Oh", headers="connection: close\r\nretry-after: 100\r\n")

    async def token(refresh: bool) -> str:
        await asyncio.Event().wait()
        return ""

    for serve in (mute_head, mute_stream, mid_line, refusing, endless):
        with Script(serve) as script:
            subscription = subscribe(script.url, "demo")
            waiting = asyncio.ensure_future(anext(subscription))
            await eventually(lambda script=script: len(script.requests) == 1)  # type: ignore[misc]
            await subscription.aclose()
            await subscription.aclose()
            if serve is endless:
                await asyncio.wait({waiting})
                assert waiting.exception() is None or isinstance(waiting.exception(), StopAsyncIteration)
            else:
                with pytest.raises(StopAsyncIteration):
                    await waiting
            with pytest.raises(StopAsyncIteration):
                await anext(subscription)
            await eventually(lambda script=script: script.open == 0)  # type: ignore[misc]
            assert script.connections == 1, "and does not come back"
    with Script(endless) as script:
        never_begun = subscribe(script.url, "demo")
        await never_begun.aclose()
        asking = subscribe(script.url, "demo", token=token)
        waiting = asyncio.ensure_future(anext(asking))
        await asyncio.sleep(0)
        await asking.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert script.connections == 0
    gate.set()


@on_loop
async def test_who_does_not_read_stops_the_sender_and_not_the_memory() -> None:
    sent = 0

    def serve(peer: Peer) -> None:
        nonlocal sent
        peer.request()
        peer.say(HEAD)
        event = b"data: " + b"x" * 10_000 + b"\n\n"
        while True:
            peer.say(event)
            sent += 1

    with Script(serve) as script:
        async with subscribe(script.url, "demo") as subscription:
            await anext(subscription)
            before, rounds = -1, 0
            while before != sent or rounds < 10:
                rounds = rounds + 1 if before == sent else 0
                before = sent
                await asyncio.sleep(0.02)
            # What is held: the queue, one read, and the buffers of the two sockets.
            assert sent < QUEUE_EVENTS_MAX + 2000
            for _ in range(sent):
                await anext(subscription)


@on_loop
async def test_statuses_and_comments_come_in_order_with_the_events() -> None:
    heard: list[object] = []

    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b": hello\n\ndata: x\n\n: bye\n\n")
        if len(script.requests) == 2:
            peer.closed()

    with Script(serve) as script:
        options = {"on_status": heard.append, "on_comment": heard.append, "retry_max": 0.1}
        async with subscribe(script.url, "demo", **options) as subscription:  # type: ignore[arg-type]
            for _ in range(2):
                heard.append((await anext(subscription)).type)
    kinds = [type(item) if not isinstance(item, str) else item for item in heard]
    first = [Connecting, Open, " hello", "message", " bye", Waiting]
    assert kinds == [*first, Connecting, Open, " hello", "message"]


@on_loop
async def test_a_refusal_is_raised_once_and_then_it_is_over() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.answer("403 Forbidden", '{"code":"FORBIDDEN","detail":"not yours"}')
        peer.closed()

    with Script(serve) as script:
        subscription = subscribe(script.url, "demo")
        with pytest.raises(Refused, match="403 FORBIDDEN: not yours"):
            await anext(subscription)
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)
        await eventually(lambda: script.open == 0)


@on_loop
async def test_an_event_over_the_limit_ends_it_and_closes_the_socket() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b"data: " + b"x" * 5000)
        peer.closed()

    with Script(serve) as script:
        with pytest.raises(EventTooLarge):
            await anext(subscribe(script.url, "demo", max_event_bytes=1000))
        await eventually(lambda: script.open == 0)


@on_loop
async def test_a_mute_stream_is_left_and_opened_again() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + f"id: 7-{len(script.requests)}\ndata: x\n\n".encode())
        peer.closed()

    with Script(serve) as script:
        async with subscribe(script.url, "demo", read_timeout=0.2, retry_max=0.1) as subscription:
            assert [(await anext(subscription)).type for _ in range(2)] == ["message"] * 2
        assert "last-event-id: 7-1" in script.requests[1][0]


@on_loop
async def test_a_restart_opens_another_connection_at_once_from_the_same_position() -> None:
    statuses: list[Status] = []
    with Script(endless) as script:
        async with subscribe_url(f"{script.url}/feed", on_status=statuses.append) as subscription:
            await anext(subscription)
            subscription.restart()
            await anext(subscription)
        await eventually(lambda: script.open == 0)
        assert "last-event-id: 7-1" in script.requests[1][0]
        assert not any(isinstance(status, Waiting) for status in statuses)


@on_loop
async def test_tokens_may_come_from_an_async_function_and_its_failure_says_no_secret() -> None:
    statuses: list[Status] = []
    asked: list[bool] = []

    async def token(refresh: bool) -> str:
        asked.append(refresh)
        if len(asked) == 1:
            raise KeyError("secret")
        return "fresh" if refresh else "old"

    def serve(peer: Peer) -> None:
        while peer.request():
            if peer.header("authorization") == "bearer fresh":
                peer.say(HEAD + b"data: x\n\n")
                peer.closed()
                return
            peer.answer("401 No")

    with Script(serve) as script:
        options = {"on_status": statuses.append, "retry_max": 0.1}
        async with subscribe(script.url, "demo", token=token, **options) as subscription:  # type: ignore[arg-type]
            assert (await anext(subscription)).type == "message"
    assert asked == [False, False, True]
    waits = [status for status in statuses if isinstance(status, Waiting)]
    assert "KeyError" in waits[0].reason
    assert "secret" not in waits[0].reason


def test_what_cannot_be_used_is_refused_at_once_and_shows_no_secret() -> None:
    with pytest.raises(InvalidOption, match="http"):
        subscribe("ftp://hub", "demo")
    with pytest.raises(InvalidOption) as told:
        subscribe("http://user:hunter2@hub", "demo")
    assert "hunter2" not in str(told.value)
    with pytest.raises(InvalidOption):
        subscribe("http://hub?x=1", "demo")
    for session in ("", ".", ".."):
        with pytest.raises(InvalidOption):
            subscribe("http://hub", session)
    for headers in ({"accept": "x"}, {"Last-Event-ID": "x"}, {"a b": "x"}, {"a": "x\r\ny: z"}):
        with pytest.raises(InvalidOption):
            subscribe("http://hub", "demo", headers=headers)
    with pytest.raises(InvalidOption) as told:
        subscribe("http://hub", "demo", token="secret\n")
    assert "secret" not in str(told.value)
    with pytest.raises(InvalidOption):
        subscribe("http://hub", "demo", last_event_id="a\nb")
    with pytest.raises(TypeError):
        subscribe("http://hub", "demo", retry_bsae=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_names_of_sessions_are_sent_as_they_are() -> None:
    plan = hub_plan("http://hub/prefix/", "a/b ?\u00e9%")
    assert plan.url.raw_path == b"/prefix/sessions/a%2Fb%20%3F%C3%A9%25/events"


@on_loop
async def test_closing_wins_over_who_swallows_a_cancellation() -> None:
    asked = asyncio.Event()

    async def token(refresh: bool) -> str:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return ""

    with Script(endless) as script:
        subscription = subscribe(script.url, "demo", token=token)
        waiting = asyncio.ensure_future(anext(subscription))
        await asked.wait()
        await subscription.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert script.connections == 0


@on_loop
async def test_what_fails_before_the_first_attempt_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FileNotFoundError("no certificates")

    monkeypatch.setattr("watertight_sse.subscription.make_client", fail)
    with pytest.raises(FileNotFoundError):
        await asyncio.wait_for(anext(subscribe("http://127.0.0.1:9", "demo")), 10)


@on_loop
async def test_two_tasks_cannot_take_from_one_subscription() -> None:
    with Script(endless) as script:
        async with subscribe(script.url, "demo") as subscription:
            await anext(subscription)
            waiting = asyncio.ensure_future(anext(subscription))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="two tasks"):
                await anext(subscription)
            waiting.cancel()
            await asyncio.wait({waiting})


@on_loop
async def test_gaps_are_items_of_the_loop() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b'id: 7-9\nevent: gap\ndata: {"from":"7-2","to":"7-9","missed":8,"reason":"evicted"}\n\n')
        peer.say('event: error\ndata: {"error":"over","code":"SESSION_ENDED"}\n\n')
        peer.closed()

    with Script(serve) as script:
        seen = [item async for item in subscribe(script.url, "demo")]
    assert seen == [Gap("evicted", "7-2", "7-9", 8)]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@on_loop
async def test_thousands_of_subscriptions_leave_tasks_sockets_and_memory_where_they_were() -> None:
    """Cancelled at another point each time. `WATERTIGHT_CYCLES=10000` is the long form."""

    async def cycle(number: int) -> None:
        subscription = subscribe(script.url, "demo")
        match number % 5:
            case 0:
                async for _ in subscription:
                    break
            case 1:
                await anext(subscription)
                await subscription.aclose()
            case 2:
                taking = asyncio.ensure_future(anext(subscription))
                for _ in range(number % 40):
                    await asyncio.sleep(0)
                taking.cancel()
                await asyncio.wait({taking})
                await subscription.aclose()
            case 3:
                async with subscription:
                    await anext(subscription)
            case _:
                taking = asyncio.ensure_future(anext(subscription))
                for _ in range(number % 40):
                    await asyncio.sleep(0)
                await subscription.aclose()
                await asyncio.wait({taking})
                # Looked at, so that nobody complains of it.
                taking.exception()

    async def settled() -> None:
        await eventually(lambda: len(asyncio.all_tasks()) == 1)
        await eventually(lambda: script.open == 0)
        script.requests.clear()
        gc.collect()

    with Script(endless) as script:
        # What is made once (certificates, the proxy settings, caches) is made before.
        for number in range(100):
            await cycle(number)
        await settled()
        sockets = descriptors()
        tracemalloc.start()
        objects = len(gc.get_objects())
        growths: list[int] = []
        for _ in range(3):
            before = tracemalloc.get_traced_memory()[0]
            for number in range(CYCLES // 3):
                await cycle(number)
            await settled()
            growths.append(tracemalloc.get_traced_memory()[0] - before)
        tracemalloc.stop()
        assert descriptors() <= sockets + 2
        assert len(gc.get_objects()) < objects + CYCLES // 2
        # A leak grows each time; what Python itself and other threads of the tests keep for later does so once.
        assert min(growths) < 20_000 + 4 * CYCLES, growths


def test_token_failures_have_their_cause() -> None:
    assert TokenFailed("x").is_retryable
