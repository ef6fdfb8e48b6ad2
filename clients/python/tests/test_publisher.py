"""What a publisher on asyncio promises, against bytes on a socket."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from watertight_sse import (
    Closed,
    Dropped,
    GaveUp,
    InvalidOption,
    NewEvent,
    NotPublished,
    Published,
    Publisher,
    Refused,
    Stopped,
    Waiting,
)

from .kit import Peer, Script, eventually, on_loop


class FakeHub:
    """Takes events as a hub does, with keys, and does what a test tells it before that."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Any]] = {}
        self.keys: dict[str, str] = {}
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.under_way: dict[str, int] = {}
        self.overlaps: list[str] = []
        self.refuse: list[str] = []
        self.lose_answers = 0
        self.break_before = 0
        self.bad: set[Any] = set()
        self.batch_max = 1000
        self._lock = threading.Lock()

    def serve(self, peer: Peer) -> None:
        while peer.request():
            found = re.match(r"post /sessions/([^/]+)/(events|end) ", peer.head)
            assert found, peer.head
            session = found[1]
            self.gate.wait()
            with self._lock:
                if self.break_before:
                    self.break_before -= 1
                    return
                if self.refuse:
                    peer.answer(*self.refuse.pop(0).split("|"))
                    continue
                key = peer.header("idempotency-key")
                assert key
                if found[2] == "end":
                    self.taken.setdefault(session, []).append(("end", json.loads(peer.body or b"{}")))
                    peer.answer("200 OK", '{"session":"s","last":"e-9","endedAt":1.5,"keep":60.0}')
                    continue
                events = [json.loads(line) for line in peer.body.splitlines()]
                answer = self._take(session, key, events)
                if self.lose_answers:
                    self.lose_answers -= 1
                    return
            peer.answer(*answer)

    def _take(self, session: str, key: str, events: list[Any]) -> tuple[str, str]:
        if key in self.keys:
            return "202 Accepted", self.keys[key]
        if len(events) > self.batch_max:
            return "413 Large", '{"code":"TOO_MANY_EVENTS"}'
        for event in events:
            if any(event["data"] == bad for bad in self.bad):
                return "403 Forbidden", '{"code":"RESERVED_EVENT_TYPE","detail":"bad"}'
        log = self.taken.setdefault(session, [])
        ids = [f"{session}-{len(log) + n + 1}" for n in range(len(events))]
        log.extend(events)
        self.sizes.append(len(events))
        self.keys[key] = json.dumps({"ids": ids})
        return "202 Accepted", self.keys[key]

    def data(self, session: str) -> list[Any]:
        return [event["data"] for event in self.taken.get(session, []) if isinstance(event, dict)]


@pytest.fixture
def fake() -> Iterator[tuple[FakeHub, str]]:
    hub = FakeHub()
    with Script(hub.serve) as script:
        yield hub, script.url
        hub.gate.set()


@on_loop
async def publish_some(url: str) -> None:
    async with Publisher(url) as publisher:
        receipt = await publisher.publish("demo", {"n": 1}, type="tick", ttl=5.0)
        assert await receipt == "demo-1"
        assert await receipt == "demo-1", "as often as one likes"
        assert publisher.stats.published == 1


def test_a_receipt_gives_the_id_once_the_hub_has_taken_the_event(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    publish_some(url)
    assert hub.taken == {"demo": [{"data": {"n": 1}, "type": "tick", "ttl": 5.0}]}


def test_events_of_a_session_keep_their_order_and_go_together_while_one_request_is_under_way(
    fake: tuple[FakeHub, str],
) -> None:
    hub, url = fake

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            for number in range(2000):
                await publisher.publish("demo", number)

    run()
    assert hub.data("demo") == list(range(2000))
    assert max(hub.sizes) == 500
    assert len(hub.sizes) < 20


def test_a_lost_answer_doubles_nothing_and_a_lost_request_loses_nothing(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.lose_answers, hub.break_before = 2, 2
    retries: list[Waiting] = []

    @on_loop
    async def run() -> None:
        async with Publisher(url, on_retry=retries.append) as publisher:
            for number in range(10):
                await publisher.publish("demo", number)

    run()
    assert hub.data("demo") == list(range(10))
    assert len(retries) == 4


def test_one_event_that_is_refused_takes_no_other_with_it(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.bad = {7, 300}
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            receipts = [await publisher.publish("demo", number) for number in range(500)]
            hub.gate.set()
            failed: list[tuple[int, str | None]] = []
            for number, receipt in enumerate(receipts):
                try:
                    await receipt
                except Refused as error:
                    failed.append((number, error.code))
            assert failed == [(7, "RESERVED_EVENT_TYPE"), (300, "RESERVED_EVENT_TYPE")]
            assert publisher.stats.failed == 2

    run()
    assert hub.data("demo") == [number for number in range(500) if number not in hub.bad]


async def publish_five(url: str) -> None:
    async with Publisher(url) as publisher:
        for number in range(5):
            await publisher.publish("demo", number)


def test_a_failure_of_which_nobody_asked_is_told_at_the_end(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.bad = {2, 3}

    @on_loop
    async def run() -> None:
        with pytest.raises(NotPublished) as told:
            await publish_five(url)
        assert told.value.count == 2
        assert told.value.code == "RESERVED_EVENT_TYPE"

    run()
    assert hub.data("demo") == [0, 1, 4]


def test_a_full_buffer_makes_publishers_wait_in_turn(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url, buffer_events=10) as publisher:
            for number in range(10):
                await asyncio.wait_for(publisher.publish("demo", number), 5)
            waiting = [asyncio.ensure_future(publisher.publish("demo", number)) for number in range(10, 16)]
            for _ in range(20):
                await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            assert publisher.stats.held_events == 10
            # One that gives up leaves its turn to those behind it.
            waiting[2].cancel()
            hub.gate.set()
            await asyncio.wait(waiting)

    run()
    assert hub.data("demo") == [number for number in range(16) if number != 12]


def test_a_full_buffer_drops_and_counts_if_that_is_wanted(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url, buffer_events=10, when_full="drop") as publisher:
            receipts = [await publisher.publish("demo", number) for number in range(15)]
            assert publisher.stats.dropped == 5
            with pytest.raises(Dropped):
                await receipts[14]
            hub.gate.set()

    run()
    assert hub.data("demo") == list(range(10))


def test_bytes_bound_the_buffer_too_and_one_large_event_still_gets_in(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url, buffer_bytes=5000, when_full="drop") as publisher:
            await publisher.publish("demo", "x" * 10_000)
            await publisher.publish("demo", "small")
            assert (publisher.stats.held_events, publisher.stats.dropped) == (1, 1)
            hub.gate.set()

    run()
    assert [len(data) for data in hub.data("demo")] == [10_000]


def test_an_own_key_makes_a_request_of_its_own_which_is_taken_once(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake

    @on_loop
    async def run() -> None:
        for _ in range(2):
            async with Publisher(url) as publisher:
                await publisher.publish("demo", 1)
                mine = await publisher.publish("demo", 2, key="mine")
                await publisher.publish("demo", 3)
                assert await mine == "demo-2"
            with pytest.raises(InvalidOption):
                await publisher.publish("demo", 1, key="with blank")

    run()
    assert hub.data("demo") == [1, 2, 3, 1, 3]


def test_one_new_token_is_asked_for_after_a_401(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.refuse = ['401 No|{"code":"INVALID_TOKEN"}'] * 3
    asked: list[bool] = []

    def token(refresh: bool) -> str:
        asked.append(refresh)
        return "t"

    @on_loop
    async def run() -> None:
        async with Publisher(url, token=token) as publisher:
            with pytest.raises(Refused):
                await (await publisher.publish("demo", 1))
            assert asked == [False, True]
            await (await publisher.publish("demo", 2))
            assert asked == [False, True, False, True]

    run()
    assert hub.data("demo") == [2]


def test_many_are_drawn_no_faster_than_there_is_room(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    drawn = 0

    async def source() -> AsyncIterator[Any]:
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield NewEvent(number, type="n") if number % 2 else number

    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url, buffer_events=100) as publisher:
            publishing = asyncio.ensure_future(publisher.publish_many("demo", source(), type="default"))
            await eventually(lambda: drawn == 101)
            hub.gate.set()
            assert await publishing == Published(1000, "demo-1000")
            assert await publisher.publish_many("demo", iter(())) == Published(0, None)
            assert await publisher.publish_many("demo", ["a", "b"]) == Published(2, "demo-1002")

    run()
    assert hub.data("demo") == [*range(1000), "a", "b"]
    assert [event.get("type") for event in hub.taken["demo"][:2]] == ["default", "n"]


def test_many_stop_at_the_first_that_is_refused(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.bad = {700}
    hub.batch_max = 100

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            with pytest.raises(Stopped) as told:
                await publisher.publish_many("demo", range(2000))
            assert (told.value.count, told.value.last_id) == (700, "demo-700")
            assert told.value.code == "RESERVED_EVENT_TYPE"
            await publisher.publish("demo", "after")

    run()
    assert hub.data("demo") == [*range(700), "after"]


def test_many_that_are_cancelled_are_taken_back_as_far_as_they_are_not_under_way(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url, buffer_events=50) as publisher:
            publishing = asyncio.ensure_future(publisher.publish_many("demo", range(1000)))
            await eventually(lambda: publisher.stats.held_events == 50)
            publishing.cancel()
            await asyncio.wait({publishing})
            hub.gate.set()
            await publisher.flush()
            assert publisher.stats.held_events == 0

    run()
    assert len(hub.data("demo")) <= 50


def test_the_end_of_a_session_comes_behind_its_events(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            for number in range(3):
                await publisher.publish("demo", number)
            ended = await publisher.end("demo", event=NewEvent({"ok": True}, type="done"), keep=60)
            assert (ended.last, ended.keep) == ("e-9", 60.0)

    run()
    assert hub.data("demo") == [0, 1, 2]
    assert hub.taken["demo"][-1] == ("end", {"event": {"data": {"ok": True}, "type": "done"}, "keep": 60})


def test_sessions_do_not_wait_for_each_other(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            for number in range(40):
                await publisher.publish(f"s{number % 4}", number)
            hub.gate.set()

    run()
    for session in range(4):
        assert hub.data(f"s{session}") == list(range(session, 40, 4))


def test_it_gives_up_in_the_end(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.break_before = 1000

    @on_loop
    async def run() -> None:
        async with Publisher(url, give_up_after=0.3) as publisher:
            with pytest.raises(GaveUp):
                await (await publisher.publish("demo", 1))

    run()
    assert hub.data("demo") == []


def test_closing_tells_what_was_not_published_and_leaves_nothing(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        publisher = Publisher(url, buffer_events=5)
        receipts = [await publisher.publish(f"s{number}", number) for number in range(5)]
        late = asyncio.ensure_future(publisher.publish("demo", 6))
        await asyncio.sleep(0)
        await publisher.aclose()
        for receipt in receipts:
            with pytest.raises(Closed):
                await receipt
        with pytest.raises(Closed):
            await late
        with pytest.raises(Closed):
            await publisher.publish("demo", 7)
        assert publisher.stats.held_events == 0
        await publisher.aclose()

    run()


def test_who_waits_for_a_receipt_may_be_cancelled_and_the_event_goes_on(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.gate.clear()

    @on_loop
    async def run() -> None:
        async with Publisher(url) as publisher:
            receipt = await publisher.publish("demo", 1)
            with pytest.raises((TimeoutError, asyncio.TimeoutError)):
                await asyncio.wait_for(_id_of(receipt), 0.01)
            hub.gate.set()
            assert await receipt == "demo-1"

    run()
    assert hub.data("demo") == [1]


async def _id_of(receipt: Any) -> str:
    return str(await receipt)


def test_data_without_a_json_form_is_refused_before_it_is_held() -> None:
    @on_loop
    async def run() -> None:
        async with Publisher("http://127.0.0.1:9") as publisher:
            for data in (object(), float("nan"), {1j: 2}, "\ud800"):
                with pytest.raises(InvalidOption):
                    await publisher.publish("demo", data)
            assert publisher.stats.held_events == 0

    run()
