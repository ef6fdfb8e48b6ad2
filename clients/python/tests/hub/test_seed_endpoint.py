"""The seed's example "Backend SSE Stream Implementation": read, cut off in the middle, ended, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from watertight_sse.hub import Broadcaster, SSEEvent, get_sse_broadcaster

from .asgi import Request
from .ledger import assert_balanced, eventually
from .seed_app import app


@pytest.fixture
async def broadcaster() -> AsyncIterator[Broadcaster]:
    """The process's own, as the seed's endpoint takes it."""
    broadcaster = get_sse_broadcaster()
    await broadcaster.start()
    yield broadcaster
    assert_balanced(broadcaster)
    await broadcaster.stop()


async def watching(broadcaster: Broadcaster, path: str, headers: dict[str, str] | None = None) -> Request:
    """A request whose generator waits for events."""
    before = broadcaster.get_stats()["totalSubscribers"]
    request = Request(app, path, headers)
    assert (await request.next())["status"] == 200
    await eventually(lambda: broadcaster.get_stats()["totalSubscribers"] == before + 1, "it watches")
    return request


async def test_the_endpoint_writes_events_as_they_are_on_the_wire(broadcaster: Broadcaster) -> None:
    request = await watching(broadcaster, "/sse/s")
    published = await broadcaster.broadcast(
        "s", SSEEvent(type="agent_network_update", data={"agents": ["é"]})
    )
    assert (
        await request.text() == f'id: {published}\nevent: agent_network_update\ndata: {{"agents":["é"]}}\n\n'
    )
    second = await broadcaster.broadcast("s", "two\nlines")
    assert await request.text() == f"id: {second}\ndata: two\ndata: lines\n\n"
    await request.leave()


async def test_an_endpoint_that_is_cut_off_in_the_middle_gives_everything_back(
    broadcaster: Broadcaster,
) -> None:
    requests = [await watching(broadcaster, "/sse/s") for _ in range(20)]
    await broadcaster.broadcast("s", "hello")
    assert all([(await request.text()).endswith("data: hello\n\n") for request in requests])
    for request in requests[:10]:
        await request.leave()
    assert broadcaster.get_stats()["totalSubscribers"] == 10
    await broadcaster.broadcast("s", "again")
    assert all([(await request.text()).endswith("data: again\n\n") for request in requests[10:]])
    for request in requests[10:]:
        request.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request.task
    assert_balanced(broadcaster)


async def test_a_stream_begins_with_its_position_and_has_heartbeats(broadcaster: Broadcaster) -> None:
    request = await watching(broadcaster, "/stream/s")
    opening = await request.text()
    assert opening.startswith(": watertight\nretry: ")
    assert "\nid: " in opening
    assert await request.text() == ":\n\n"
    await request.leave()


async def test_a_client_that_comes_back_with_its_last_id_gets_what_it_missed(
    broadcaster: Broadcaster,
) -> None:
    first = await broadcaster.broadcast("s", "seen")
    await broadcaster.broadcast("s", "missed")
    request = await watching(broadcaster, "/stream/s", {"last-event-id": first})
    assert f"id: {first}\n" in await request.text()
    assert (await request.text()).endswith("data: missed\n\n")
    await request.leave()


async def test_a_client_of_another_life_of_the_log_is_told_a_gap(broadcaster: Broadcaster) -> None:
    await broadcaster.broadcast("s", "kept")
    request = await watching(broadcaster, "/stream/s", {"last-event-id": "000000000001-7"})
    assert "id:" not in await request.text(), "the gap tells the position"
    gap = await request.text()
    assert "event: gap\n" in gap
    assert '"reason":"epoch"' in gap
    assert (await request.text()).endswith("data: kept\n\n")
    await request.leave()


async def test_the_end_of_a_session_and_of_the_hub_are_told_to_the_browser(broadcaster: Broadcaster) -> None:
    ended = await watching(broadcaster, "/stream/ended")
    stays = await watching(broadcaster, "/stream/stays")
    await ended.text()
    await stays.text()
    await broadcaster.end("ended", "last words")
    assert (await told(ended)).endswith("data: last words\n\n")
    assert await told(ended) == 'event: error\ndata: {"error":"Session ended","code":"SESSION_ENDED"}\n\n'
    await asyncio.wait_for(ended.task, 10)
    stopping = asyncio.create_task(broadcaster.stop())
    closing = await told(stays)
    assert closing.startswith(
        'event: error\ndata: {"error":"Server is shutting down","code":"SHUTTING_DOWN"}\nretry: '
    )
    await asyncio.wait_for(stays.task, 10)
    await stopping
    await broadcaster.start()


async def told(request: Request) -> str:
    """The next part of the body that is no heartbeat."""
    while (text := await request.text()) == ":\n\n":
        pass
    return text
