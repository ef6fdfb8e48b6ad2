"""A publisher and the real hub: nothing is lost, doubled or out of order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hub import HubProcess
from tests.kit.wait import eventually, soon
from tests.publisher.variants import AnyPublisher
from watertight_sse import Publisher, RequestError
from watertight_sse._publisher import NewEvent, StoppedError
from watertight_sse.sync import Publisher as PlainPublisher
from watertight_sse.tokens import Minter

Make = Callable[..., AnyPublisher]
ROOMY = ("--max-history-per-session", "20000", "--max-queue-size", "20000")


def history(hub: HubProcess, session: str, path: str = "") -> list[dict[str, Any]]:
    """All events that the hub holds of a session."""
    events: list[dict[str, Any]] = []
    after = "replay=all"
    while True:
        answer = hub.call(
            "GET",
            f"/sessions/{session}/events?{after}&wait=0&limit=1000",
            headers={"accept": "application/json"},
        )
        events += answer["events"]
        if not answer["events"]:
            return events
        after = f"after={answer['next']}"


def data(events: list[dict[str, Any]]) -> list[Any]:
    """What was published."""
    return [json.loads(event["data"]) for event in events]


async def test_a_hundred_tasks_share_a_publisher_and_each_keeps_its_order_without_doubles(
    publisher: Make,
) -> None:
    with HubProcess(*ROOMY) as hub:
        async with publisher(hub.url) as to:

            async def work(name: int) -> list[str]:
                return [await to.publish("s", [name, number]) for number in range(20)]

            ids = await soon(asyncio.gather(*(work(name) for name in range(100))), "all are published")
        events = history(hub, "s")
    assert len(events) == 2000
    for name in range(100):
        mine = [(event["id"], number) for event in events for who, number in data([event]) if who == name]
        assert [number for _, number in mine] == list(range(20))
        assert [id for id, _ in mine] == ids[name]


async def test_five_thousand_events_published_one_by_one_arrive_once_and_in_order(publisher: Make) -> None:
    with HubProcess(*ROOMY) as hub:
        async with publisher(hub.url) as to:

            def enqueue_all() -> None:
                for number in range(5000):
                    to.inner.enqueue("s", number)

            if to.is_plain:
                await asyncio.to_thread(enqueue_all)
            else:
                for number in range(5000):
                    await to.inner.enqueue("s", number)
            await soon(to.flush(), "all are published")
        assert data(history(hub, "s")) == list(range(5000))


async def test_many_events_of_an_endless_source_arrive_in_order(publisher: Make) -> None:
    with HubProcess(*ROOMY) as hub:
        async with publisher(hub.url) as to:
            assert await soon(to.publish_many("s", range(10_000), type="n"), "all are published") == 10_000
        events = history(hub, "s")
    assert data(events) == list(range(10_000))
    assert {event["type"] for event in events} == {"n"}


async def test_an_outage_of_the_hub_loses_nothing_that_fits_the_buffer(publisher: Make) -> None:
    with HubProcess(*ROOMY) as hub:
        async with publisher(hub.url) as to:
            before = [await to.publish("s", number) for number in range(10)]
            hub.kill()
            for number in range(10, 2000):
                assert await to.enqueue("s", number)
            waits = asyncio.create_task(to.publish("s", 2000))
            await eventually(lambda: to.inner.buffered == 1991, "all are in the buffer")
            await asyncio.sleep(2.5)  # the outage itself: nothing to wait for happens in it
            assert not waits.done()
            hub.start()
            last = await soon(waits, "the last is published")
            await soon(to.flush(), "all are published")
            assert to.inner.failed == 0
        events = history(hub, "s")
    # The hub's own memory went with it: it has what was published since.
    assert data(events) == list(range(10, 2001))
    assert events[-1]["id"] == last
    assert len(set(before)) == 10


async def test_a_hub_that_hangs_and_goes_on_gets_nothing_twice(publisher: Make) -> None:
    with HubProcess(*ROOMY) as hub:
        async with publisher(hub.url, request_timeout=0.3) as to:
            await to.publish("s", 0)
            hub.stop_answering()
            tasks = [asyncio.create_task(to.publish("s", number)) for number in range(1, 50)]
            await eventually(lambda: to.inner.buffered == 49, "all are in the buffer")
            await asyncio.sleep(1.0)  # several attempts are lost
            hub.answer_again()
            await soon(asyncio.gather(*tasks), "all are published")
        assert sorted(data(history(hub, "s"))) == list(range(50))


async def test_a_key_of_ones_own_is_taken_once_by_two_publishers(publisher: Make) -> None:
    with HubProcess() as hub:
        async with publisher(hub.url) as one, publisher(hub.url) as other:
            first = await one.publish("s", {"order": 7}, key="order-7")
            assert await other.publish("s", {"order": 7}, key="order-7") == first
            with pytest.raises(RequestError, match="IDEMPOTENCY_KEY_REUSED"):
                await other.publish("s", {"order": 8}, key="order-7")
        assert data(history(hub, "s")) == [{"order": 7}]


async def test_text_arrives_as_it_stands_and_json_as_its_text(publisher: Make) -> None:
    with HubProcess() as hub:
        async with publisher(hub.url) as to:
            await to.publish_text("a/b c", "zwei\nZeilen \u2028 ü", type="t", ttl=60)
            await to.publish("a/b c", "hello")
            await to.publish_text("a/b c", "")
        texts = [(event["type"], event["data"]) for event in history(hub, "a%2Fb%20c")]
    assert texts == [("t", "zwei\nZeilen \u2028 ü"), ("message", '"hello"'), ("message", "")]


async def test_the_end_of_a_session_comes_last_and_later_events_are_refused(publisher: Make) -> None:
    with HubProcess() as hub:
        async with publisher(hub.url) as to:
            tasks = [asyncio.create_task(to.publish("s", number)) for number in range(50)]
            await eventually(
                lambda: to.inner.buffered > 0 or all(task.done() for task in tasks), "they are on their way"
            )
            await soon(asyncio.gather(*tasks), "all are published")
            for number in range(50, 60):
                await to.enqueue("s", number)
            ended = await soon(
                to.end("s", event=NewEvent({"ok": True}, type="done"), keep=60), "it has ended"
            )
            again = await to.end("s")
            with pytest.raises(RequestError, match="409 SESSION_ENDED"):
                await to.publish("s", "late")
        events = history(hub, "s")
    assert sorted(data(events)[:50]) == list(range(50))
    assert data(events)[50:] == [*range(50, 60), {"ok": True}]
    assert (ended.session, ended.last, ended.keep) == ("s", events[-1]["id"], 60)
    assert again == ended


async def test_an_event_that_the_hub_refuses_stops_many_there(publisher: Make) -> None:
    with HubProcess("--max-event-bytes", "1000", *ROOMY) as hub:
        async with publisher(hub.url) as to:
            items = [*range(700), "x" * 2000, *range(701, 900)]
            with pytest.raises(StoppedError, match="EVENT_TOO_LARGE") as caught:
                await soon(to.publish_many("s", items), "it stops")
        events = history(hub, "s")
    assert data(events) == list(range(700))
    assert (caught.value.count, caught.value.last_id) == (700, events[-1]["id"])


async def test_a_hub_that_takes_smaller_batches_gets_them(publisher: Make) -> None:
    with HubProcess("--max-batch-events", "64", *ROOMY) as hub:
        async with publisher(hub.url) as to:
            assert await soon(to.publish_many("s", range(1000)), "all are published") == 1000
        assert data(history(hub, "s")) == list(range(1000))


async def test_a_minted_token_publishes_where_it_may_and_nowhere_else(
    publisher: Make, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    minter = Minter(secret_file=secret)
    with HubProcess("--token-secret-file", str(secret)) as hub:
        hub.use_token(minter.mint(admin=True, subscribe=["sessions/*"]))
        async with publisher(hub.url, token=lambda: minter.mint(publish=["sessions/mine-*"])) as to:
            await to.publish("mine-1", 1)
            with pytest.raises(RequestError, match="403 FORBIDDEN"):
                await to.publish("yours", 1)
        assert data(history(hub, "mine-1")) == [1]


async def test_a_hub_at_a_unix_socket_is_published_to(publisher: Make, tmp_path: Path) -> None:
    with HubProcess(listen=f"unix:{tmp_path}/hub.sock") as hub:
        async with publisher(hub.url) as to:
            assert await soon(to.publish_many("s", range(1200), ids=True), "all are published")


async def test_an_asynchronous_source_is_followed_as_it_gives() -> None:
    with HubProcess() as hub:
        async with Publisher(hub.url) as to:
            more = asyncio.Event()

            async def source() -> AsyncIterator[Any]:
                yield NewEvent("first", type="a")
                await more.wait()
                for number in range(1500):
                    yield number

            task = asyncio.create_task(to.publish_many("s", source(), type="n"))
            await eventually(
                lambda: to.buffered == 0 and len(history(hub, "s")) == 1,
                "the first does not wait for the end",
            )
            more.set()
            assert await soon(task, "all are published") == 1501


async def test_a_source_that_waits_is_told_when_its_events_are_refused() -> None:
    with HubProcess() as hub:
        async with Publisher(hub.url) as to:
            hub.publish("s", ["x"])
            hub.end("s")
            is_over = False

            async def source() -> AsyncIterator[Any]:
                nonlocal is_over
                try:
                    yield 1
                    await asyncio.Event().wait()
                finally:
                    is_over = True

            with pytest.raises(StoppedError, match="SESSION_ENDED"):
                await soon(to.publish_many("s", source()), "it stops")
            assert is_over


def test_a_program_that_ends_without_closing_still_sends_what_it_has() -> None:
    with HubProcess(*ROOMY) as hub:
        program = f"""
            from watertight_sse.sync import Publisher
            publisher = Publisher({hub.url!r})
            for number in range(3000):
                publisher.enqueue("s", number)
        """
        subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(program)], check=True, timeout=60
        )
        assert data(history(hub, "s")) == list(range(3000))


def test_a_publisher_of_before_a_fork_refuses_to_share_its_keys() -> None:
    program = """
        import os, sys
        from watertight_sse.sync import Publisher
        publisher = Publisher("http://127.0.0.1:1")
        if os.fork() == 0:
            try:
                publisher.enqueue("s", 1)
            except RuntimeError as error:
                os._exit(0 if "fork" in str(error) else 1)
            os._exit(2)
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert done.returncode == 0


async def test_a_publisher_of_another_loop_says_so() -> None:
    publisher = Publisher("http://127.0.0.1:1", give_up_after=0)
    with pytest.raises(Exception, match="gave up"):
        await publisher.publish("s", 1)
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, _publish(publisher))
    await publisher.aclose()


async def _publish(publisher: Publisher) -> None:
    await publisher.publish("s", 1)


def test_interrupting_a_wait_takes_the_event_out() -> None:
    with HubProcess() as hub:
        hub.stop_answering()
        program = f"""
            import os, signal, threading, time
            from watertight_sse.sync import Publisher
            # A shell's background jobs begin with the signal ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            publisher = Publisher({hub.url!r}, in_flight_max=1, request_timeout=1)
            publisher.enqueue("other", 0)

            def interrupt():
                while publisher.buffered < 2:
                    time.sleep(0.01)
                # It is on its way to the wait.
                time.sleep(0.3)
                os.kill(os.getpid(), signal.SIGINT)

            try:
                threading.Thread(target=interrupt, daemon=True).start()
                publisher.publish("s", 1)
            except KeyboardInterrupt:
                assert publisher.buffered == 1, publisher.buffered
            else:
                raise AssertionError("not interrupted")
            os.kill({hub.pid}, signal.SIGCONT)
            publisher.publish("s", 2)
            publisher.close()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
        assert data(history(hub, "s")) == [2]


def test_the_plain_publisher_leaves_no_thread_behind() -> None:
    with HubProcess() as hub:
        before = threading.active_count()
        with PlainPublisher(hub.url) as publisher:
            for number in range(20):
                publisher.publish(f"s{number}", number)
        assert threading.active_count() <= before
