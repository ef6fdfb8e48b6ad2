"""Runs that something goes wrong for, and that this is nothing to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agents_service import agent
from agents_service import desk as desks
from agents_service.steps import Snapshot, Step, Summary, progress, text, tool, tool_result
from tests.kit import StandInHub, open_desk, until, until_told

OUTPUT = "x" * 5_000


@pytest.fixture
def odd_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have agents whose task begins with ``odd`` yield a step that is no JSON, and of the task ``large`` large ones."""
    usual = agent.work

    async def work(task: str, words: int, pace: float) -> AsyncGenerator[Step, None]:
        yield text("so far ")
        if task.startswith("odd"):
            yield Step("text", {"text": "x", "source": b"x"})
        elif task == "large":
            yield tool(1, "open", task)
            yield tool_result(1, OUTPUT)
            yield progress(1, 2, "y" * 5_000)
            yield text("so good")
        else:
            async for step in usual(task, words, pace):
                yield step

    monkeypatch.setattr(agent, "work", work)


@pytest.mark.usefixtures("odd_agents")
def test_a_step_that_is_no_json_fails_its_run_alone_and_the_service_stops_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path, StandInHub()) as (desk, store):
            for task in ("odd", "a task"):
                await desk.start("ada", task, 40, 3)
            await until_told(store)
            rows = await desk.list_of("ada")
            assert {(row["task"][:3], row["status"]) for row in rows} == {("odd", "failed"), ("a t", "done")}
        assert await steps_after_a_restart(tmp_path, rows[-1]) == rows[-1]["n"]

    asyncio.run(asyncio.wait_for(work(), 30))


async def steps_after_a_restart(folder: Path, row: Summary) -> int:
    """Return how many steps of a run are there after a restart."""
    async with open_desk(folder, StandInHub()) as (desk, _):
        return (await snapshot_of(desk, row["id"]))["n"]


async def snapshot_of(desk: desks.Desk, run: str) -> Snapshot:
    snapshot = await desk.snapshot(run)
    assert snapshot is not None
    return snapshot


@pytest.mark.usefixtures("odd_agents")
def test_a_step_that_the_hub_refuses_is_passed_over_and_everything_behind_it_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        hub = StandInHub()
        hub.max_event_bytes = 1_000
        # All of it in one batch, and then each by itself.
        hub.go_away()
        async with open_desk(tmp_path, hub) as (desk, store):
            (run,) = await desk.start("ada", "large", 40, 1)

            async def is_done() -> bool:
                return (await desk.list_of("ada"))[0]["status"] == "done"

            await until(is_done)
            hub.come_back()
            await until_told(store)
            snapshot = await snapshot_of(desk, run["id"])
            assert (snapshot["n"], snapshot["tools"][0]["output"]) == (6, OUTPUT)
            assert hub.numbers(f"run-{run['id']}") == [1, 2, 5, 6]
            assert hub.ended == [f"run-{run['id']}"]
            assert hub.events["runs-ada"][-1]["status"] == "done"

    asyncio.run(asyncio.wait_for(work(), 30))


def test_a_hub_that_refuses_everything_holds_up_no_agent_and_is_told_at_the_next_start(tmp_path: Path) -> None:
    class ClosedHub(StandInHub):
        async def end(self, session: str) -> None:
            raise ValueError(session)

    async def work() -> None:
        hub = ClosedHub()
        hub.max_event_bytes = 0
        async with open_desk(tmp_path, hub) as (desk, store):
            await desk.start("ada", "a task", 200, 2)

            async def is_done() -> bool:
                return [row["status"] for row in await desk.list_of("ada")] == ["done", "done"]

            await until(is_done)
            assert len(await store.untold()) == 2
        async with open_desk(tmp_path, StandInHub()) as (_, store):
            await until_told(store)

    asyncio.run(asyncio.wait_for(work(), 30))
