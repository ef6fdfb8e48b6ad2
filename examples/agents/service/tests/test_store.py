from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from agents_service import store as stores
from agents_service.steps import Run, Step, end, progress, text
from agents_service.store import NotJsonError, Result, Store
from tests.kit import open_store


def run_of(owner: str, n: int) -> Run:
    return Run(f"{owner}-{n}", owner, f"task {n}", 40, float(n))


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    async def before() -> None:
        async with open_store(tmp_path) as store:
            run = run_of("ada", 1)
            await store.begin([run])
            for n, step in enumerate([progress(1, 4, "x"), text("a "), text("b")], start=1):
                await store.append(run.id, n, step, run.summary_after(step))
                run.apply(n, step)

    async def after() -> None:
        async with open_store(tmp_path) as store:
            run = await store.load("ada-1")
            assert run is not None
            assert run.snapshot()["text"] == "a b"
            assert [(row["id"], row["done"], row["n"]) for row in await store.list_of("ada")] == [("ada-1", 1, 1)]
            assert await store.untold() == ["ada-1"]
            assert await store.load("ada-2") is None

    asyncio.run(before())
    asyncio.run(after())


def test_steps_of_many_runs_at_once_are_written_together_and_all_are_kept(tmp_path: Path) -> None:
    class CountingStore(Store):
        transactions = 0

        async def call(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
            self.transactions += 1
            return await super().call(work)

    async def both() -> None:
        store = CountingStore(tmp_path / "agents.db")
        await store.open()
        runs = [run_of("ada", n) for n in range(100)]
        await store.begin(runs)
        before = store.transactions
        for n in range(1, 6):
            await asyncio.gather(*(store.append(run.id, n, text("x")) for run in runs))
        assert store.transactions - before <= 10
        loaded = [await store.load(run.id) for run in runs]
        assert [run.n for run in loaded if run] == [5] * 100
        await store.close()

    asyncio.run(both())


def test_a_step_that_is_there_already_is_refused_to_who_waits_for_it(tmp_path: Path) -> None:
    async def twice() -> None:
        async with open_store(tmp_path) as store:
            await store.begin([run_of("ada", 1)])
            await store.append("ada-1", 1, text("a"))
            with pytest.raises(sqlite3.IntegrityError):
                await store.append("ada-1", 1, text("b"))
            await store.append("ada-1", 2, text("c"))

    asyncio.run(twice())


@pytest.mark.parametrize("odd", [datetime(2026, 1, 1), b"x", Decimal(1), float("nan"), "\ud800", {1, 2}], ids=repr)
def test_a_step_that_is_no_json_is_refused_to_who_brings_it_alone(tmp_path: Path, odd: object) -> None:
    async def beside() -> None:
        async with open_store(tmp_path) as store:
            await store.begin([run_of("ada", n) for n in range(3)])
            outcomes = await asyncio.gather(
                store.append("ada-0", 1, text("a")),
                store.append("ada-1", 1, Step("text", {"text": "b", "source": odd})),
                store.append("ada-2", 1, text("c")),
                return_exceptions=True,
            )
            assert [type(outcome) for outcome in outcomes] == [type(None), NotJsonError, type(None)]
            await store.append("ada-1", 1, text("b"))
            kept = await asyncio.gather(*(store.load(f"ada-{n}") for n in range(3)))
            assert [run.snapshot()["text"] for run in kept if run] == ["a", "b", "c"]

    asyncio.run(asyncio.wait_for(beside(), 30))


def test_a_step_that_cannot_be_kept_takes_no_other_of_its_transaction_with_it(tmp_path: Path) -> None:
    async def together() -> None:
        async with open_store(tmp_path) as store:
            await store.begin([run_of("ada", 1)])
            outcomes = await asyncio.gather(
                *(store.append(f"ada-{n}", 1, text("x")) for n in (1, 2)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [type(None), sqlite3.IntegrityError]
            run = await store.load("ada-1")
            assert run is not None
            assert run.n == 1

    asyncio.run(asyncio.wait_for(together(), 30))


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), MemoryError()], ids=repr)
def test_whatever_a_transaction_fails_of_is_told_and_the_next_steps_are_kept(tmp_path: Path, error: Exception) -> None:
    class FailingStore(Store):
        is_failing = False

        async def call(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
            if self.is_failing:
                raise error
            return await super().call(work)

    async def fail() -> None:
        store = FailingStore(tmp_path / "agents.db")
        await store.open()
        await store.begin([run_of("ada", n) for n in range(3)])
        store.is_failing = True
        appends = (store.append(f"ada-{n}", 1, text("x")) for n in range(3))
        assert await asyncio.gather(*appends, return_exceptions=True) == [error] * 3
        store.is_failing = False
        await store.append("ada-1", 1, text("x"))
        await store.close()

    asyncio.run(asyncio.wait_for(fail(), 30))


def test_old_runs_are_forgotten_but_none_that_is_at_work_and_none_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RUNS_KEPT", 3)

    async def many() -> None:
        async with open_store(tmp_path) as store:
            await store.begin([run_of("grace", 1)])
            await store.mark_told("grace-1")
            for n in range(1, 8):
                await store.begin([run_of("ada", n)])
                await store.append(f"ada-{n}", 1, end("done", "", 9.0))
                if n != 2:
                    await store.mark_told(f"ada-{n}")
            kept = await store.call(lambda db: db.execute("SELECT id FROM runs ORDER BY id").fetchall())
            assert [run for (run,) in kept] == ["ada-2", "ada-5", "ada-6", "ada-7", "grace-1"]
            steps = await store.call(lambda db: db.execute("SELECT count(*) FROM steps").fetchone())
            assert steps == (4,)

    asyncio.run(many())
