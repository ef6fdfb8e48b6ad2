"""How many events a second one publisher gets into a hub, and that none is lost, doubled or out of order.

    WATERTIGHT_BIN=target/release/watertight python bench/publish.py

===========  ======================================================================================
alone        one task awaits each publish before the next: a request for each event
one by one   200 tasks, each of which awaits each of its publishes
enqueue      one task, each event by a call of its own that does not wait for the hub, then ``flush``
many         one task, ``publish_many``: the figure for batches
===========  ======================================================================================

Each with asyncio and on threads (``plain``). Fails below the figures that are promised: 5,000 events/s one by one, 100,000
events/s in batches.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kit.hub import HubProcess
from watertight_sse import Publisher
from watertight_sse.sync import Publisher as PlainPublisher

TASKS = 200
PROMISED = {"one by one": 5_000, "many": 100_000}
"""Events a second."""
ROOMY = (
    "--max-history-per-session",
    "1000000",
    "--max-history-bytes-per-session",
    "1GiB",
    "--max-queue-size",
    "1000000",
)


def event(number: int) -> dict[str, Any]:
    """About 80 bytes of JSON, as a token of a language model has."""
    return {"number": number, "run": "7f3a", "kind": "token", "text": "a word or two"}


async def alone(publisher: Publisher, count: int) -> None:
    """A request for each."""
    for number in range(count):
        await publisher.publish("s", event(number))


async def one_by_one(publisher: Publisher, count: int) -> None:
    """Many tasks that publish in the order of a common count."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await publisher.publish("s", event(number))

    await asyncio.gather(*(work() for _ in range(TASKS)))


async def enqueue(publisher: Publisher, count: int) -> None:
    """Nobody waits for the hub but the buffer."""
    for number in range(count):
        await publisher.enqueue("s", event(number))
    await publisher.flush()


async def many(publisher: Publisher, count: int) -> None:
    """In batches."""
    await publisher.publish_many("s", map(event, range(count)))


def plain_alone(publisher: PlainPublisher, count: int) -> None:
    """A request for each."""
    for number in range(count):
        publisher.publish("s", event(number))


def plain_one_by_one(publisher: PlainPublisher, count: int) -> None:
    """Many threads; between them there is no order."""
    numbers = iter(range(count))

    def work() -> None:
        for number in numbers:
            publisher.publish("s", event(number))

    with ThreadPoolExecutor(TASKS) as pool:
        for done in [pool.submit(work) for _ in range(TASKS)]:
            done.result()


def plain_enqueue(publisher: PlainPublisher, count: int) -> None:
    """Nobody waits for the hub but the buffer."""
    for number in range(count):
        publisher.enqueue("s", event(number))
    publisher.flush()


def plain_many(publisher: PlainPublisher, count: int) -> None:
    """In batches."""
    publisher.publish_many("s", map(event, range(count)))


def timed(call: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


async def with_asyncio(run: Callable[[Publisher, int], Any], url: str, count: int) -> float:
    """Seconds, the first connection included."""
    async with Publisher(url) as publisher:
        started = time.perf_counter()
        await run(publisher, count)
        return time.perf_counter() - started


def on_threads(run: Callable[[PlainPublisher, int], Any], url: str, count: int) -> float:
    """The same without asyncio."""
    with PlainPublisher(url) as publisher:
        return timed(lambda: run(publisher, count))


def check(hub: HubProcess, count: int, *, in_order: bool) -> None:
    """All of them are there, each once, and in their order."""
    numbers: list[int] = []
    where = "replay=all"
    while True:
        answer = hub.call(
            "GET", f"/sessions/s/events?{where}&wait=0&limit=1000", headers={"accept": "application/json"}
        )
        numbers += [json.loads(one["data"])["number"] for one in answer["events"]]
        if not answer["events"]:
            break
        where = f"after={answer['next']}"
    expected = list(range(count))
    assert (numbers if in_order else sorted(numbers)) == expected, f"{len(numbers)} events of {count}"


def main() -> int:
    """Prints a table; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description="events a second from Python")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of events")
    scale = parser.parse_args().scale
    missed = False
    print(f"{'':12}{'events':>9}{'asyncio':>12}{'plain':>12}   events/s")
    rows: list[tuple[str, int, Any, Any]] = [
        ("alone", 3_000, alone, plain_alone),
        ("one by one", 30_000, one_by_one, plain_one_by_one),
        ("enqueue", 100_000, enqueue, plain_enqueue),
        ("many", 300_000, many, plain_many),
    ]
    for name, base, by_asyncio, by_threads in rows:
        count = int(base * scale)
        rates: list[float] = []
        for is_plain in (False, True):
            with HubProcess(*ROOMY) as hub:
                if is_plain:
                    seconds = on_threads(by_threads, hub.url, count)
                else:
                    seconds = asyncio.run(with_asyncio(by_asyncio, hub.url, count))
                check(hub, count, in_order=not (is_plain and name == "one by one"))
            rates.append(count / seconds)
        is_missed = min(rates) < PROMISED.get(name, 0)
        missed = missed or is_missed
        print(
            f"{name:12}{count:>9,}{rates[0]:>12,.0f}{rates[1]:>12,.0f}{'   MISSED' if is_missed else ''}",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
