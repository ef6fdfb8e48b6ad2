"""Which requests a publisher sends, against a server that answers as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.kit.ports import free_port
from tests.kit.server import Peer, Server
from tests.kit.wait import eventually, soon
from tests.publisher.variants import AnyPublisher
from watertight_sse import GaveUpError, RequestError, TokenError, UnexpectedAnswerError
from watertight_sse._publisher import (
    BufferFullError,
    NewEvent,
    PublisherClosedError,
    StoppedError,
    UnsentError,
)

Make = Callable[..., AnyPublisher]
PROBLEM = {"content-type": "application/problem+json"}


def lines(peer: Peer) -> list[Any]:
    """The data of the events in a request."""
    return [json.loads(line)["data"] for line in peer.body.decode().split("\n")]


async def take(peer: Peer) -> None:
    """Answers that all of it is published."""
    await peer.answer(202, body=json.dumps({"ids": [f"id-{data}" for data in lines(peer)]}))


async def refuse(peer: Peer, status: int, code: str, **members: Any) -> None:
    """Answers with a problem document."""
    body = json.dumps({"code": code, "detail": "because", **members})
    await peer.answer(status, PROBLEM, body)


async def test_a_retry_carries_the_key_and_the_body_of_the_first_try_and_the_next_request_another(
    publisher: Make,
) -> None:
    async with Server() as server, publisher(server.url) as to:
        first = asyncio.create_task(to.publish("s", 1))
        tries = [await server.accept()]
        tries[0].reset()
        tries.append(await server.accept())
        await refuse(tries[1], 503, "OVERLOADED")
        tries.append(await server.accept())
        await take(tries[2])
        assert await soon(first, "the first is published") == "id-1"
        second = asyncio.create_task(to.publish("s", 2))
        other = await server.accept()
        await take(other)
        await soon(second, "the second is published")
        keys = [peer.headers["idempotency-key"] for peer in tries]
        assert keys == [keys[0]] * 3
        assert len({peer.body for peer in tries}) == 1
        assert other.headers["idempotency-key"] != keys[0]


async def test_a_batch_is_not_overtaken_while_it_is_sent_again(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        first = asyncio.create_task(to.publish("s", 1))
        lost = await server.accept()
        others = asyncio.create_task(to.publish_many("s", [2, 3]))
        await eventually(lambda: to.inner.buffered == 3, "the others are in the buffer")
        lost.reset()
        again = await server.accept()
        assert lines(again) == [1]
        await take(again)
        await soon(first, "the first is published")
        then = await server.accept()
        assert lines(then) == [2, 3]
        await take(then)
        assert await soon(others, "the others are published") == 2


async def test_what_is_published_while_a_request_is_under_way_goes_together(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, batch_events=10) as to:
        first = asyncio.create_task(to.publish("s", 0))
        peer = await server.accept()
        tasks: list[asyncio.Task[str]] = []
        for number in range(1, 26):
            tasks.append(asyncio.create_task(to.publish("s", number)))
            await eventually(partial(holds, to, number + 1), "it is in the buffer")
        await take(peer)
        sizes: list[list[int]] = []
        for _ in range(3):
            peer = await server.accept()
            sizes.append(lines(peer))
            await take(peer)
        ids = await soon(asyncio.gather(first, *tasks), "all are published")
        assert ids == [f"id-{number}" for number in range(26)]
        assert sizes == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]
        assert peer.headers["content-type"] == "application/x-ndjson"


async def test_sessions_overlap_up_to_the_bound(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, in_flight_max=2) as to:
        tasks = [asyncio.create_task(to.publish(name, 1)) for name in ("a", "b/c", "d")]
        first, second = await server.accept(), await server.accept()
        await eventually(lambda: to.inner.buffered == 3, "all three wait")
        assert {first.path, second.path} <= {f"/sessions/{name}/events" for name in ("a", "b%2Fc", "d")}
        assert len(server.peers) == 2
        await take(first)
        await take(await server.accept())
        await take(second)
        await soon(asyncio.gather(*tasks), "all are published")


async def test_a_refusal_is_final_and_says_the_hubs_code(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        task = asyncio.create_task(to.publish("s", 1))
        await refuse(await server.accept(), 409, "SESSION_ENDED")
        with pytest.raises(RequestError, match="409 SESSION_ENDED: because") as caught:
            await soon(task, "it is refused")
        assert (caught.value.status, caught.value.code, caught.value.can_retry) == (
            409,
            "SESSION_ENDED",
            False,
        )
        assert to.inner.buffered == 0
        assert len(server.peers) == 1


async def test_of_publishes_that_went_together_only_the_refused_one_fails(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        blocker = asyncio.create_task(to.publish("s", 0))
        peer = await server.accept()
        tasks: list[asyncio.Task[str]] = []
        for number in (1, 2, 3):
            tasks.append(asyncio.create_task(to.publish("s", number)))
            await eventually(partial(holds, to, number + 1), "it is in the buffer")
        await take(peer)
        await blocker
        await refuse(await server.accept(), 413, "EVENT_TOO_LARGE", index=1)
        again = await server.accept()
        assert lines(again) == [1, 3]
        await take(again)
        assert await soon(tasks[0], "it is published") == "id-1"
        assert await soon(tasks[2], "it is published") == "id-3"
        with pytest.raises(RequestError, match="EVENT_TOO_LARGE"):
            await tasks[1]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_token_that_is_refused_is_refreshed_once(publisher: Make, is_async: bool) -> None:
    asked: list[bool] = []

    def plain(*, refresh: bool) -> str:
        asked.append(refresh)
        return f"token-{len(asked)}"

    async def later(*, refresh: bool) -> str:
        await asyncio.sleep(0)
        return plain(refresh=refresh)

    async with Server() as server, publisher(server.url, token=later if is_async else plain) as to:
        if is_async and to.is_plain:
            with pytest.raises(GaveUpError, match="has to be a plain one"):
                await soon(publisher(server.url, token=later, give_up_after=0.1).publish("s", 1), "it fails")
            return
        task = asyncio.create_task(to.publish("s", 1))
        first = await server.accept()
        await refuse(first, 401, "INVALID_TOKEN")
        second = await server.accept()
        await take(second)
        await soon(task, "it is published")
        assert asked == [False, True]
        assert [peer.headers["authorization"] for peer in (first, second)] == [
            "Bearer token-1",
            "Bearer token-2",
        ]
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        task = asyncio.create_task(to.publish("s", 2))
        for _ in range(2):
            await refuse(await server.accept(), 401, "INVALID_TOKEN")
        with pytest.raises(RequestError, match="401 INVALID_TOKEN"):
            await soon(task, "it is refused")


async def test_a_refresh_that_fails_once_is_asked_for_again_and_loses_nothing(publisher: Make) -> None:
    asked: list[bool] = []

    def token(*, refresh: bool) -> str:
        asked.append(refresh)
        if asked == [False, True]:
            raise OSError("the issuer is away for a moment")
        return "new" if refresh else "old"

    async with Server() as server, publisher(server.url, token=token) as to:
        task = asyncio.create_task(to.publish("s", 1))
        await refuse(await server.accept(), 401, "INVALID_TOKEN")
        peer = await server.accept()
        assert peer.headers["authorization"] == "Bearer new"
        await take(peer)
        assert await soon(task, "it is published") == "id-1"
        assert asked == [False, True, True]


async def test_a_fixed_token_that_is_refused_is_final_and_in_no_text(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, token="secret-token") as to:
        task = asyncio.create_task(to.publish("s", "secret-data"))
        await refuse(await server.accept(), 401, "INVALID_TOKEN")
        with pytest.raises(RequestError) as caught:
            await soon(task, "it is refused")
        seen = f"{caught.value} {caught.value!r} {to.inner!r} {to.inner.__dict__}"
        assert "secret" not in seen
        assert len(server.peers) == 1


async def test_a_function_that_gives_no_token_is_asked_again(publisher: Make) -> None:
    failures: list[Exception] = []

    def token() -> str:
        if not failures:
            raise RuntimeError("secret: the vault is sealed")
        return "later"

    def observe(error: Exception, delay: float) -> None:
        assert delay > 0
        failures.append(error)

    async with Server() as server, publisher(server.url, token=token, on_retry=observe) as to:
        task = asyncio.create_task(to.publish("s", 1))
        peer = await server.accept()
        assert peer.headers["authorization"] == "Bearer later"
        await take(peer)
        await soon(task, "it is published")
        assert isinstance(failures[0], TokenError)
        assert "secret" not in str(failures[0])


async def test_it_gives_up_after_the_time_allowed_and_says_why(publisher: Make) -> None:
    async with publisher(f"http://127.0.0.1:{free_port()}", give_up_after=0.3) as to:
        with pytest.raises(GaveUpError, match="no connection"):
            await soon(to.publish("s", 1), "it gives up")
        assert to.inner.buffered == 0


async def test_an_answer_that_never_comes_is_asked_for_again_in_time(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, request_timeout=0.2) as to:
        task = asyncio.create_task(to.publish("s", 1))
        silent = await server.accept()
        while (again := await server.accept_unless(task)) is not None:
            assert again.headers["idempotency-key"] == silent.headers["idempotency-key"]
            await take(again)
        assert await soon(task, "it is published") == "id-1"
        await silent.closed()


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"ids":[]}', '{"ids":[1]}', '{"ids":["a","b"]}', "<html>"])
async def test_an_answer_without_the_ids_is_an_error_and_not_a_success(publisher: Make, body: str) -> None:
    async with Server() as server, publisher(server.url) as to:
        task = asyncio.create_task(to.publish("s", 1))
        await (await server.accept()).answer(202, body=body)
        with pytest.raises(UnexpectedAnswerError):
            await soon(task, "it fails")


async def test_an_answer_without_an_end_is_not_read_for_ever(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        task = asyncio.create_task(to.publish("s", 1))
        peer = await server.accept()
        await peer.say("HTTP/1.1 202 Accepted\r\n\r\n")
        chunk = b"x" * 65536
        while peer.is_open and not task.done():
            await peer.say(chunk)
            # A connection that is broken makes nobody wait: the others have to get their turn.
            await asyncio.sleep(0)
        with pytest.raises(UnexpectedAnswerError, match="more than"):
            await soon(task, "it fails")


async def test_redirects_are_not_followed(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, token="secret") as to:
        task = asyncio.create_task(to.publish("s", 1))
        await (await server.accept()).answer(307, {"location": "http://127.0.0.1:1/elsewhere"})
        with pytest.raises(UnexpectedAnswerError, match="307"):
            await soon(task, "it fails")


async def test_a_full_buffer_makes_callers_wait_in_the_order_of_their_calls(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, buffer_events=1) as to:
        tasks = [asyncio.create_task(to.publish("s", 0))]
        peer = await server.accept()
        for number in (1, 2):
            tasks.append(asyncio.create_task(to.publish("s", number)))
            await eventually(partial(waits, to, number), "it waits for room")
        assert to.inner.buffered == 1
        for number in range(3):
            assert lines(peer) == [number]
            await take(peer)
            if number < 2:
                peer = await server.accept()
        assert await soon(asyncio.gather(*tasks), "all are published") == ["id-0", "id-1", "id-2"]


def holds(to: AnyPublisher, count: int) -> bool:
    """Whether so many events are in the buffer."""
    return bool(to.inner.buffered == count)


def waits(to: AnyPublisher, count: int) -> bool:
    """Whether so many wait for room."""
    return bool(to.inner._outbox.waiting == count)


async def test_with_drop_what_finds_no_room_is_dropped_and_counted(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, buffer_events=2, when_full="drop") as to:
        assert await to.enqueue("s", 0)
        peer = await server.accept()
        assert await to.enqueue("s", 1)
        assert not await to.enqueue("s", 2)
        with pytest.raises(BufferFullError):
            await to.publish("s", 3)
        assert to.inner.dropped == 2
        await take(peer)
        await take(await server.accept())
        await soon(to.flush(), "the rest is published")
        assert to.inner.failed == 0


async def test_what_was_enqueued_and_fails_is_told_and_counted(publisher: Make) -> None:
    told: list[tuple[str, str]] = []

    def on_error(error: Exception, session: str) -> None:
        told.append((str(error), session))

    async with Server() as server, publisher(server.url, on_error=on_error) as to:
        await to.enqueue("s", 1)
        await refuse(await server.accept(), 403, "FORBIDDEN")
        with pytest.raises(UnsentError, match=r"1 events are not known to be published.*FORBIDDEN") as caught:
            await soon(to.flush(), "it is settled")
        assert caught.value.count == 1
        assert told == [("refused with 403 FORBIDDEN: because", "s")]
        assert to.inner.failed == 1
        await soon(to.flush(), "it was told once")


async def test_leaving_the_block_sends_what_is_left(publisher: Make) -> None:
    async with Server() as server:
        to = publisher(server.url)
        for number in range(3):
            await to.enqueue("s", number)
        leaving = asyncio.create_task(to.close())
        got: list[int] = []
        while len(got) < 3:
            peer = await server.accept()
            got += lines(peer)
            with pytest.raises(PublisherClosedError):
                await to.publish("s", "late")
            await take(peer)
        await soon(leaving, "it is closed")
        assert got == [0, 1, 2]
        await eventually(lambda: server.open() == 0, "no connection is left")


async def test_closing_takes_no_longer_than_it_may_and_says_what_is_unsent(publisher: Make) -> None:
    async with Server() as server:
        to = publisher(server.url, close_timeout=0.2, request_timeout=2)
        waits = asyncio.create_task(to.publish("s", 0))
        peer = await server.accept()
        await to.enqueue("s", 1)
        with pytest.raises(UnsentError) as caught:
            await soon(to.close(), "it is closed")
        assert caught.value.count == 1
        with pytest.raises(PublisherClosedError):
            await waits
        peer.reset()
        await eventually(lambda: server.open() == 0, "no connection is left")


async def test_many_events_go_in_batches_and_no_more_than_two_are_held(publisher: Make) -> None:
    drawn: list[int] = []

    def source() -> Any:
        for number in range(35):
            drawn.append(number)
            yield NewEvent(number, type="n") if number % 2 else number

    async with Server() as server, publisher(server.url, batch_events=10) as to:
        task = asyncio.create_task(to.publish_many("s", source(), ids=True))
        got: list[int] = []
        while len(got) < 35:
            peer = await server.accept()
            if len(got) == 10:
                await eventually(lambda: to.inner.buffered == 20, "two batches are held")
                assert len(drawn) <= 31
            got += lines(peer)
            await take(peer)
        assert await soon(task, "all are published") == [f"id-{number}" for number in range(35)]
        assert got == list(range(35))


async def test_a_refused_event_stops_a_source_where_it_stands(publisher: Make) -> None:
    async with Server() as server, publisher(server.url, batch_events=4) as to:
        task = asyncio.create_task(to.publish_many("s", iter(range(100))))
        taken: list[int] = []
        while len(taken) < 6:
            peer = await server.accept()
            numbers = lines(peer)
            if 6 in numbers:
                await refuse(peer, 400, "INVALID_TTL", index=numbers.index(6))
            else:
                taken += numbers
                await take(peer)
        if (alone := await server.accept_unless(task)) is not None:
            # The refused one was in no batch with those before it.
            await refuse(alone, 400, "INVALID_TTL", index=0)
        with pytest.raises(StoppedError) as caught:
            await soon(task, "it stops")
        assert taken == list(range(6))
        assert (caught.value.count, caught.value.last_id) == (6, "id-5")
        assert isinstance(caught.value.__cause__, RequestError)
        assert to.inner.buffered == 0


async def test_what_a_source_gave_before_it_broke_is_published(publisher: Make) -> None:
    def source() -> Any:
        yield 1
        yield 2
        raise LookupError("the source is dry")

    async with Server(lambda peer: asyncio.ensure_future(take(peer))) as server, publisher(server.url) as to:
        with pytest.raises(LookupError, match="dry"):
            await soon(to.publish_many("s", source()), "it ends")
        with pytest.raises(TypeError):
            await soon(to.publish_many("s", [3, object(), 4]), "it ends")
        got = [data for peer in server.peers for data in lines(peer)]
        assert got == [1, 2, 3]


async def test_the_end_comes_after_everything_that_was_published_before(publisher: Make) -> None:
    ended = json.dumps({"session": "s", "last": "9-2", "endedAt": 5.5, "keep": 60})
    async with Server() as server, publisher(server.url, when_full="drop", buffer_events=1) as to:
        first = asyncio.create_task(to.publish("s", 1))
        peer = await server.accept()
        end = asyncio.create_task(to.end("s", event=NewEvent({"ok": True}, type="done"), keep=60))
        await eventually(lambda: waits(to, 1), "the end waits, and is not dropped")
        await take(peer)
        await first
        peer = await server.accept()
        assert peer.path == "/sessions/s/end"
        assert json.loads(peer.body) == {"event": {"type": "done", "data": {"ok": True}}, "keep": 60.0}
        await peer.answer(200, body=ended)
        result = await soon(end, "the session has ended")
        assert (result.last, result.ended_at, result.keep) == ("9-2", 5.5, 60.0)


async def test_a_key_of_ones_own_and_a_text_go_as_they_are(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        task = asyncio.create_task(to.publish("s", {"n": 1}, key="order-7", type="t", ttl=1.5))
        peer = await server.accept()
        assert (peer.headers["idempotency-key"], peer.headers["content-type"]) == (
            "order-7",
            "application/json",
        )
        assert json.loads(peer.body) == {"type": "t", "data": {"n": 1}, "ttl": 1.5}
        await peer.answer(202, body='{"id":"9-1"}')
        assert await soon(task, "it is published") == "9-1"
        task = asyncio.create_task(to.publish_text("s", "zwei\nZeilen ü", type="a&b", ttl=2, key="k"))
        peer = await server.accept()
        assert peer.path == "/sessions/s/events?type=a%26b&ttl=2.0"
        assert peer.body.decode() == "zwei\nZeilen ü"
        await peer.answer(202, body='{"id":"9-2"}')
        assert await soon(task, "it is published") == "9-2"
