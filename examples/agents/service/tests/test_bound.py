"""How many runs of a user may be at work at once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from agents_service import desk as desks
from agents_service.desk import TooManyRunsError
from agents_service.steps import Run, Step, Summary
from agents_service.store import Store
from tests.kit import StandInHub, open_desk, until


def test_a_user_has_a_bounded_number_of_runs_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "RUNS_AT_WORK_MAX", 3)

    async def work() -> None:
        async with open_desk(tmp_path, StandInHub(), pace=1.0) as (desk, _):
            await desk.start("ada", "a task", 40, 3)
            with pytest.raises(TooManyRunsError):
                await desk.start("ada", "one more", 40, 1)
            await desk.start("grace", "a task", 40, 3)

    asyncio.run(work())


def test_starts_at_once_do_not_pass_the_bound_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "RUNS_AT_WORK_MAX", 3)

    async def work() -> None:
        async with open_desk(tmp_path, StandInHub(), pace=1.0) as (desk, _):
            starts = (desk.start("ada", "a task", 40, 2) for _ in range(5))
            outcomes = await asyncio.gather(*starts, desk.start("grace", "a task", 40, 3), return_exceptions=True)
            assert [isinstance(outcome, TooManyRunsError) for outcome in outcomes] == [False, *[True] * 4, False]
            await desk.start("ada", "one more", 40, 1)

    asyncio.run(work())


def test_a_start_that_fails_and_a_run_whose_end_cannot_be_kept_count_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "RUNS_AT_WORK_MAX", 2)
    begin, append = Store.begin, Store.append
    is_full = True

    async def failing_begin(self: Store, runs: list[Run]) -> None:
        if is_full:
            raise sqlite3.OperationalError("the disk is full")
        await begin(self, runs)

    async def failing_append(self: Store, run: str, n: int, step: Step, summary: Summary | None = None) -> None:
        if is_full and step.kind == "end":
            raise sqlite3.OperationalError("the disk is full")
        await append(self, run, n, step, summary)

    monkeypatch.setattr(Store, "begin", failing_begin)
    monkeypatch.setattr(Store, "append", failing_append)

    async def work() -> None:
        nonlocal is_full
        async with open_desk(tmp_path, StandInHub()) as (desk, store):
            with pytest.raises(sqlite3.OperationalError):
                await desk.start("ada", "a task", 40, 2)
            is_full = False
            await desk.start("ada", "a task", 40, 2)
            is_full = True

            async def is_idle() -> bool:
                return len(asyncio.all_tasks()) == 1

            await until(is_idle)
            is_full = False
            await desk.start("ada", "one more", 40, 2)
            await until(is_idle)
            assert len(await store.untold()) == 2

    asyncio.run(work())
