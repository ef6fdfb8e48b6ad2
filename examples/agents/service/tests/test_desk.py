from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agents_service import desk as desks
from agents_service.desk import Desk
from agents_service.steps import Run, Step
from agents_service.store import Store
from agents_service.telling import Teller
from tests.kit import StandInHub, open_desk, open_store, until, until_told


def test_a_run_is_told_in_order_once_and_its_session_ends_behind_its_last_step(tmp_path: Path) -> None:
    async def work() -> None:
        hub = StandInHub()
        async with open_desk(tmp_path, hub) as (desk, store):
            started = await desk.start("ada", "a task", 40, 3)
            await until_told(store)
            for run in started:
                session = f"run-{run['id']}"
                snapshot = await desk.snapshot(run["id"])
                assert snapshot is not None
                assert hub.numbers(session) == list(range(1, snapshot["n"] + 1))
                told = [event for event in hub.events[session] if event["kind"] == "text"]
                assert "".join(event["text"] for event in told) == snapshot["text"]
                assert hub.events[session][-1]["kind"] == "end"
            assert sorted(hub.ended) == sorted(f"run-{run['id']}" for run in started)
            assert [row["status"] for row in await desk.list_of("ada")] == ["done"] * 3
            assert [row["task"] for row in started] == ["a task #1", "a task #2", "a task #3"]

    asyncio.run(work())


def test_nothing_is_told_before_it_is_kept_and_no_snapshot_lacks_what_was_told(tmp_path: Path) -> None:
    class WatchfulHub(StandInHub):
        desk: Desk
        store: Store

        async def publish_many(self, session: str, events: Iterable[Any], *, type: str) -> int:
            told = list(events)
            run = session.removeprefix("run-")
            kept, snapshot = await self.store.load(run), await self.desk.snapshot(run)
            assert kept is not None
            assert snapshot is not None
            assert kept.n >= told[-1]["n"]
            assert snapshot["n"] >= told[-1]["n"]
            return await super().publish_many(session, told, type=type)

    async def work() -> None:
        hub = WatchfulHub()
        async with open_desk(tmp_path, hub) as (hub.desk, hub.store):
            await hub.desk.start("ada", "a task", 40, 5)
            await until_told(hub.store)

    asyncio.run(work())


def test_agents_work_on_while_the_hub_is_away_and_it_is_told_when_it_is_back(tmp_path: Path) -> None:
    async def work() -> None:
        hub = StandInHub()
        hub.go_away()
        async with open_desk(tmp_path, hub) as (desk, store):
            (run,) = await desk.start("ada", "a task", 40, 1)

            async def is_done() -> bool:
                return (await desk.list_of("ada"))[0]["status"] == "done"

            await until(is_done)
            assert hub.events == {}
            hub.come_back()
            await until_told(store)
            assert len(hub.numbers(f"run-{run['id']}")) == (await desk.list_of("ada"))[0]["n"]

    asyncio.run(work())


def test_a_stop_ends_runs_as_interrupted_and_tells_it(tmp_path: Path) -> None:
    async def work() -> None:
        hub = StandInHub()
        async with open_desk(tmp_path, hub, pace=1.0) as (desk, _):
            (run,) = await desk.start("ada", "a task", 40, 1)
        assert hub.events[f"run-{run['id']}"][-1]["status"] == "interrupted"
        async with open_store(tmp_path) as store:
            assert await store.untold() == []

    asyncio.run(work())


def test_what_a_stop_could_not_tell_is_told_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "STOP_SECONDS", 0.1)

    async def work() -> None:
        hub = StandInHub()
        hub.go_away()
        async with open_desk(tmp_path, hub) as (desk, _):
            await desk.start("ada", "a task", 40, 3)
        hub.come_back()
        assert hub.events == {}
        async with open_desk(tmp_path, hub) as (desk, store):
            await until_told(store)
            for row in await desk.list_of("ada"):
                assert row["status"] in ("interrupted", "done")
                assert hub.numbers(f"run-{row['id']}") == [row["n"]]
                assert f"run-{row['id']}" in hub.ended

    asyncio.run(work())


def test_stopped_at_any_moment_a_run_has_no_hole_and_one_end(tmp_path: Path) -> None:
    async def whole(hub: StandInHub) -> float:
        async with open_desk(tmp_path, hub) as (desk, store):
            begun = time.monotonic()
            await desk.start("ada", "a task", 40, 2)
            await until_told(store)
            return time.monotonic() - begun

    async def life(hub: StandInHub, seconds: float) -> set[str]:
        async with open_desk(tmp_path, hub) as (desk, _):
            started = await desk.start("ada", "a task", 40, 2)
            await asyncio.sleep(seconds)  # how far a run gets is what this test varies
        return {hub.events[f"run-{run['id']}"][-1]["status"] for run in started}

    async def work() -> None:
        hub = StandInHub()
        # From nothing to twice what a whole run takes; and far beyond, if the machine is slower by then.
        most = 2 * min(await whole(hub), await whole(hub))
        ends: set[str] = set()
        turns = 0
        while turns < 60 or "done" not in ends:
            ends |= await life(hub, most * turns / 60)
            turns += 1
            if turns > 60:
                most *= 2
        assert ends == {"interrupted", "done"}
        async with open_desk(tmp_path, hub) as (desk, store):
            await until_told(store)
            rows = await desk.list_of("ada")
            assert len(rows) == 2 * (turns + 2)
            for row in rows:
                told = hub.events[f"run-{row['id']}"]
                assert [event["n"] for event in told] == list(range(1, row["n"] + 1))
                assert [event["kind"] for event in told].count("end") == 1

    asyncio.run(work())


def test_a_killed_service_ends_its_runs_at_the_next_start_counting_on_where_they_were(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()

    async def killed() -> int:
        hub = StandInHub()
        async with open_desk(tmp_path, hub, pace=0.2) as (desk, store):
            (run,) = await desk.start("ada", "a task", 40, 1)
            session = f"run-{run['id']}"

            async def it_writes() -> bool:
                return len(hub.numbers(session)) >= 12

            await until(it_writes)
            # What a crash at this moment would leave: the file as it is.
            with contextlib.closing(sqlite3.connect(left / "agents.db", check_same_thread=False)) as copy:
                told = hub.numbers(session)[-1]
                await store.call(lambda database: database.backup(copy))
            return told

    async def after(told: int) -> None:
        hub = StandInHub()
        async with open_desk(left, hub) as (desk, store):
            await until_told(store)
            (row,) = await desk.list_of("ada")
            run = await store.load(row["id"])
            assert run is not None
            assert (run.status, run.n > told) == ("interrupted", True)
            assert hub.numbers(f"run-{run.id}") == [run.n]

    told = asyncio.run(killed())
    asyncio.run(after(told))


def test_runs_that_are_told_leave_nothing_in_memory(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path, StandInHub()) as (desk, store):
            for _ in range(3):
                await desk.start("ada", "a task", 16, 50)
                await until_told(store)

            async def is_idle() -> bool:
                return len(asyncio.all_tasks()) == 1

            await until(is_idle)
            gc.collect()
            assert [it for it in gc.get_objects() if isinstance(it, (Run, Teller, Step))] == []

    asyncio.run(work())
