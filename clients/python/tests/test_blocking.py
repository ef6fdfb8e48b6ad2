"""The same promises without asyncio."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest

from watertight_sse import Event, Gap, GaveUp, NewEvent, Published, Refused, Status, Stopped, Waiting
from watertight_sse.blocking import Publisher, subscribe, subscribe_url

from .kit import HEAD, Peer, Script, eventually_blocking
from .test_publisher import FakeHub


def test_it_comes_back_with_the_last_id_on_every_connection() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        number = len(script.requests)
        peer.say(HEAD + f"retry: 1\nid: 7-{number}\ndata: x\n\nid: 9-9\ndata: cut off in the mid".encode())

    with Script(serve) as script, subscribe(script.url, "demo", retry_max=0.1) as subscription:
        assert [next(subscription) for _ in range(4)] == [Event("message", "x", f"7-{n}") for n in (1, 2, 3, 4)]
        assert subscription.last_event_id == "7-4"
        heads = [head for head, _ in script.requests[:4]]
        assert [f"last-event-id: 7-{n}" in head for n, head in enumerate(heads) if n] == [True] * 3


def test_leaving_the_loop_closes_the_connection() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b"data: x\n\n")
        peer.closed()

    with Script(serve) as script:
        for number in range(50):
            for event in subscribe(script.url, "demo"):
                assert event.type == "message"
                break
            eventually_blocking(lambda number=number: script.connections == number + 1)  # type: ignore[misc]
        gc.collect()
        eventually_blocking(lambda: script.open == 0)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(100):
            next(subscribe(script.url, "demo"))
        eventually_blocking(lambda: script.open == 0)
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_gaps_statuses_comments_and_the_end_are_told() -> None:
    heard: list[object] = []

    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b': c\n\nevent: gap\ndata: {"reason":"evicted"}\n\n')
        peer.say('event: error\ndata: {"error":"over","code":"SESSION_ENDED"}\n\n')
        peer.closed()

    with Script(serve) as script:
        subscription = subscribe(script.url, "demo", on_status=heard.append, on_comment=heard.append)
        assert list(subscription) == [Gap("evicted")]
        assert [type(item).__name__ for item in heard] == ["Connecting", "Open", "str", "ClosingEvent"]
        assert list(subscription) == [], "it is over"
        eventually_blocking(lambda: script.open == 0)


def test_a_mute_stream_is_left_and_opened_again() -> None:
    statuses: list[Status] = []

    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + f"id: 7-{len(script.requests)}\ndata: x\n\n".encode())
        peer.closed()

    with Script(serve) as script:
        options = {"read_timeout": 0.2, "retry_max": 0.1, "on_status": statuses.append}
        with subscribe(script.url, "demo", **options) as subscription:  # type: ignore[arg-type]
            assert [next(subscription).type for _ in range(2)] == ["message"] * 2
        assert "last-event-id: 7-1" in script.requests[1][0]
    waits = [status for status in statuses if isinstance(status, Waiting)]
    assert "timed out" in waits[0].reason


def test_a_refusal_is_raised_once_and_then_it_is_over() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.answer("404 Not Found")
        peer.closed()

    with Script(serve) as script:
        subscription = subscribe_url(f"{script.url}/nothing")
        with pytest.raises(Refused):
            next(subscription)
        assert list(subscription) == []
        eventually_blocking(lambda: script.open == 0)


def test_a_post_is_sent_again_with_its_body() -> None:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.say(HEAD + b"retry: 0\ndata: x\n\n")

    with Script(serve) as script:
        request = {"method": "POST", "body": "question"}
        with subscribe_url(script.url, request=request, retry_max=0.1) as subscription:  # type: ignore[arg-type]
            next(subscription)
            next(subscription)
        assert [body for _, body in script.requests[:2]] == [b"question"] * 2
        assert all(head.startswith("post / ") for head, _ in script.requests)


@pytest.fixture
def fake() -> Iterator[tuple[FakeHub, str]]:
    hub = FakeHub()
    with Script(hub.serve) as script:
        yield hub, script.url


def test_a_publish_returns_the_id_and_a_lost_answer_doubles_nothing(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.lose_answers = 1
    with Publisher(url) as publisher:
        assert publisher.publish("demo", 1, type="n") == "demo-1"
        assert publisher.publish("demo", 2, key="mine") == "demo-2"
        assert publisher.publish("demo", 2, key="mine") == "demo-2"
        assert publisher.end("demo", keep=5).keep == 60.0
    assert hub.data("demo") == [1, 2]


def test_many_go_in_batches_and_stop_at_the_first_that_is_refused(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.batch_max = 100
    with Publisher(url) as publisher:
        assert publisher.publish_many("demo", range(1000)) == Published(1000, "demo-1000")
        assert publisher.publish_many("demo", []) == Published(0, None)
        hub.bad = {1007}
        with pytest.raises(Stopped) as told:
            publisher.publish_many("demo", (NewEvent(n) for n in range(1000, 1500)))
        assert told.value.count == 7
    assert hub.data("demo") == list(range(1007))


def test_threads_take_turns(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    with Publisher(url) as publisher:

        def work(thread: int) -> None:
            for number in range(20):
                publisher.publish("demo", [thread, number])

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for thread in range(4):
        assert [number for of, number in hub.data("demo") if of == thread] == list(range(20))


def test_it_gives_up_in_the_end(fake: tuple[FakeHub, str]) -> None:
    hub, url = fake
    hub.break_before = 1000
    retries: list[Waiting] = []
    with Publisher(url, give_up_after=0.3, on_retry=retries.append) as publisher, pytest.raises(GaveUp):
        publisher.publish("demo", 1)
    assert retries
