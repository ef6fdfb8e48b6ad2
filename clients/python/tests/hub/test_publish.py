"""What publishing promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from watertight_sse.hub import Broadcaster, BroadcasterConfig, HubError, Publishable, SSEEvent

FORMS: list[tuple[Publishable, tuple[str, str]]] = [
    ("text", ("message", "text")),
    ("", ("message", "")),
    (SSEEvent(type="tick", data="text"), ("tick", "text")),
    (SSEEvent(type="tick", data={"a": [1, None, "é"]}), ("tick", '{"a":[1,null,"é"]}')),
    (SSEEvent(type="message", data=None), ("message", "null")),
    ({"type": "tick", "data": {"n": 1}}, ("tick", '{"n":1}')),
    ({"type": "tick", "data": "text", "ttl": 5}, ("tick", "text")),
    ({"n": 1}, ("message", '{"n":1}')),
    ({"type": "not an event"}, ("message", '{"type":"not an event"}')),
]


@pytest.mark.parametrize(("event", "comes"), FORMS)
async def test_each_form_of_event_comes_as_it_was_meant(
    broadcaster: Broadcaster, event: Publishable, comes: tuple[str, str]
) -> None:
    async with broadcaster.subscribe("s") as queue:
        await broadcaster.broadcast("s", event)
        came = await queue.get(timeout=5)
        assert (came.type, came.data) == comes


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (7, TypeError, "an event is an SSEEvent, a str or a mapping, not int"),
    ({"type": "tick", "data": 1, "at": 2}, ValueError, "'at'"),
    ({"type": 3, "data": 1}, ValueError, "type = 3"),
    (SSEEvent(type="tick", data=float("nan")), ValueError, "JSON"),
    (SSEEvent(type="tick", data=object()), TypeError, "object"),
    (SSEEvent(type="tick", data="", ttl=0), ValueError, "ttl = 0"),
    (SSEEvent(type="line\nbreak", data=""), ValueError, "control character"),
]


@pytest.mark.parametrize(("event", "error", "said"), REFUSED)
async def test_what_is_no_event_is_refused_before_anything_is_published(
    broadcaster: Broadcaster, event: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        await broadcaster.broadcast("s", event)
    assert broadcaster.get_stats()["totalEvents"] == 0


CODES: list[tuple[str, Publishable, str]] = [
    ("", "x", "INVALID_SESSION_NAME"),
    ("s", "x" * 300_000, "EVENT_TOO_LARGE"),
    ("s", SSEEvent(type="gap", data=""), "RESERVED_EVENT_TYPE"),
    ("s", SSEEvent(type="error", data=""), "RESERVED_EVENT_TYPE"),
]


@pytest.mark.parametrize(("session", "event", "code"), CODES)
async def test_the_hubs_refusals_have_the_codes_of_its_http_api(
    broadcaster: Broadcaster, session: str, event: Publishable, code: str
) -> None:
    for publish in (broadcaster.broadcast_nowait, broadcaster.broadcast_sync):
        with pytest.raises(HubError) as raised:
            publish(session, event)
        assert raised.value.code == code
    with pytest.raises(HubError) as raised:
        await broadcaster.broadcast(session, event)
    assert raised.value.code == code


async def test_a_refused_event_of_many_is_named_and_nothing_after_it_is_published(
    broadcaster: Broadcaster,
) -> None:
    events: list[Publishable] = [str(number) for number in range(1200)]
    events[700] = "x" * 300_000
    with pytest.raises(HubError) as raised:
        await broadcaster.broadcast_many("s", events)
    assert (raised.value.code, raised.value.index) == ("EVENT_TOO_LARGE", 700)
    assert broadcaster.get_stats()["metrics"]["eventsPublished"] == 500, "whole batches only"


async def test_events_too_large_for_one_batch_are_published_in_smaller_ones(broadcaster: Broadcaster) -> None:
    async with broadcaster.subscribe("s") as queue:
        big = ["x" * 200_000 + str(number) for number in range(60)]
        publishing = asyncio.create_task(broadcaster.broadcast_many("s", big))
        for number in range(60):
            assert (await queue.get(timeout=10)).data == big[number]
        assert len(await publishing) == 60


@pytest.mark.parametrize("together", [1, 7])
async def test_publishers_wait_for_readers_of_their_own_loop_so_that_none_is_outrun(together: int) -> None:
    async with Broadcaster(BroadcasterConfig(max_queue_size=20)) as broadcaster:
        count = 2_100

        async def reads() -> list[str]:
            async with broadcaster.subscribe("s") as queue:
                started.set()
                return [(await queue.get(timeout=10)).data for _ in range(count)]

        started = asyncio.Event()
        reading = asyncio.create_task(reads())
        await started.wait()
        for number in range(0, count, together):
            if together == 1:
                await broadcaster.broadcast("s", str(number))
            else:
                await broadcaster.broadcast_many("s", [str(number + more) for more in range(together)])
        assert await reading == [str(number) for number in range(count)]
        assert broadcaster.get_stats()["metrics"]["gaps"] == 0


async def test_publishers_wait_for_a_subscriber_that_has_not_asked_for_anything_yet() -> None:
    config = BroadcasterConfig(max_queue_size=20)
    async with Broadcaster(config) as broadcaster, broadcaster.subscribe("s") as queue:
        publishing = asyncio.create_task(
            broadcaster.broadcast_many("s", [str(number) for number in range(100)])
        )
        await asyncio.sleep(0.05)  # all the time that it would take to outrun it
        assert not publishing.done()
        assert [(await queue.get(timeout=5)).data for _ in range(100)] == [str(n) for n in range(100)]
        assert len(await publishing) == 100


@pytest.mark.parametrize(
    ("bad", "raised"),
    [
        (SSEEvent(type="error", data=""), HubError),
        ("x" * 300_000, HubError),
        (SSEEvent(type="a\nb", data=""), ValueError),
        (object(), TypeError),
    ],
)
async def test_whatever_goes_wrong_among_many_says_what_was_published(
    broadcaster: Broadcaster, bad: Any, raised: type[Exception]
) -> None:
    events = ["x"] * 1_300
    events[1_200] = bad
    for is_sync in (False, True):
        before = broadcaster.get_stats()["metrics"]["eventsPublished"]
        if is_sync:
            publishing = asyncio.to_thread(broadcaster.broadcast_many_sync, "s", events)
        else:
            publishing = broadcaster.broadcast_many("s", events)
        with pytest.raises(raised) as failed:
            await publishing
        error: Any = failed.value
        assert len(error.ids) == broadcaster.get_stats()["metrics"]["eventsPublished"] - before == 1_000
        async with broadcaster.subscribe("s", last_event_id=error.ids[-1]) as queue:
            with pytest.raises(asyncio.QueueEmpty):
                queue.get_nowait()


async def test_what_yields_events_may_fail_and_that_says_what_was_published(broadcaster: Broadcaster) -> None:
    def events() -> Iterator[str]:
        yield from ["x"] * 700
        raise LookupError

    with pytest.raises(LookupError) as failed:
        await broadcaster.broadcast_many("s", events())
    assert len(vars(failed.value)["ids"]) == 500


async def test_what_is_too_much_or_the_hubs_own_is_refused_as_the_document_says(
    broadcaster: Broadcaster,
) -> None:
    largest = "x" * 256 * 1024
    await broadcaster.broadcast("s", largest)
    refused: list[tuple[Publishable, str]] = [
        (largest + "x", "EVENT_TOO_LARGE"),
        (SSEEvent(type="gap", data=""), "RESERVED_EVENT_TYPE"),
        (SSEEvent(type="error", data=""), "RESERVED_EVENT_TYPE"),
    ]
    for event, code in refused:
        with pytest.raises(HubError) as error:
            await broadcaster.broadcast("s", event)
        assert (error.value.code, error.value.can_retry) == (code, False)
    await broadcaster.broadcast_many("s", [largest] * 50)
    async with broadcaster.subscribe("s", replay="all") as queue:
        assert (await queue.get(timeout=5)).type == "gap"
        last = await broadcaster.broadcast("s", "last")
        kept = 0
        while (event := await queue.get(timeout=5)).id != last:
            kept += len(event.data)
        assert kept <= 8 * 1024 * 1024 < kept + 2 * len(largest)


async def test_a_publisher_without_patience_outruns_readers_and_they_are_told() -> None:
    async with Broadcaster(BroadcasterConfig(max_queue_size=20)) as broadcaster:
        async with broadcaster.subscribe("s") as queue:
            for number in range(100):
                broadcaster.broadcast_nowait("s", str(number))
            came = [await queue.get(timeout=5) for _ in range(21)]
        assert [event.type for event in came] == ["gap"] + ["message"] * 20
        assert broadcaster.get_stats()["metrics"]["gapsByReason"]["lagged"] == 1


async def test_one_hundred_thousand_events_in_batches_reach_a_reader_of_the_same_loop_without_a_gap(
    broadcaster: Broadcaster,
) -> None:
    count = 100_000

    async def reads() -> int:
        expected = 0
        async with broadcaster.subscribe("s") as queue:
            started.set()
            async for event in queue:
                assert event.data == str(expected)
                expected += 1
                if expected == count:
                    break
        return expected

    started = asyncio.Event()
    reading = asyncio.create_task(reads())
    await started.wait()
    await asyncio.wait_for(broadcaster.broadcast_many("s", (str(number) for number in range(count))), 30)
    assert await asyncio.wait_for(reading, 10) == count


async def test_an_id_resumes_right_after_its_event(broadcaster: Broadcaster) -> None:
    ids = await broadcaster.broadcast_many("s", ["a", "b", "c"])
    async with broadcaster.subscribe("s", last_event_id=ids[1]) as queue:
        came = await queue.get(timeout=5)
        assert (came.id, came.data) == (ids[2], "c")


async def test_is_expired_is_about_the_events_own_time() -> None:
    assert not SSEEvent(type="t", data="").is_expired()
    assert not SSEEvent(type="t", data="", ttl=60).is_expired()
    assert SSEEvent(type="t", data="", ttl=60, created_at=0.0).is_expired()
