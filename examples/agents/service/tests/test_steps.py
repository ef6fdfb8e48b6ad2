from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_service import agent, steps
from agents_service.steps import Kind, Run, Step
from tests.kit import PACE


def fresh() -> Run:
    return Run("1", "ada", "a task", 40, 1.0)


async def all_steps(task: str, words: int) -> list[Step]:
    return [step async for step in agent.work(task, words, PACE)]


def test_a_run_is_what_its_steps_made_of_it() -> None:
    run = fresh()
    for n, step in enumerate(
        [
            steps.progress(1, 4, "Asking"),
            steps.tool(1, "search", "a task"),
            steps.tool(2, "open", "a task"),
            steps.tool_result(1, "7 matches"),
            steps.text("It "),
            steps.text("works."),
            steps.end("done", "", 2.0),
        ],
        start=1,
    ):
        run.apply(n, step)
    snapshot = run.snapshot()
    assert snapshot["text"] == "It works."
    assert [tool["output"] for tool in snapshot["tools"]] == ["7 matches", None]
    assert (snapshot["n"], snapshot["status"], snapshot["label"], snapshot["endedAt"]) == (
        7,
        "done",
        "Asking",
        2.0,
    )
    assert run.is_over


def test_a_step_out_of_order_is_refused_and_changes_nothing() -> None:
    run = fresh()
    run.apply(1, steps.text("a"))
    for n in (1, 3):
        with pytest.raises(ValueError, match=f"step {n} after step 1"):
            run.apply(n, steps.text("b"))
    assert run.snapshot()["text"] == "a"


def test_a_snapshot_is_not_changed_by_later_steps() -> None:
    run = fresh()
    run.apply(1, steps.tool(1, "search", "x"))
    before = run.snapshot()
    run.apply(2, steps.tool_result(1, "y"))
    assert before["tools"][0]["output"] is None


def test_the_row_that_a_step_makes_is_the_one_that_the_run_has_after_it() -> None:
    run = fresh()
    told = [steps.progress(2, 4, "x"), steps.text("a"), steps.end("failed", "no", 3.0)]
    for n, step in enumerate(told, start=1):
        row = run.summary_after(step)
        run.apply(n, step)
        assert row == (None if step.kind == "text" else run.summary())


def test_the_same_task_gives_the_same_steps_and_no_two_sentences_are_alike() -> None:
    first = asyncio.run(all_steps("a task", 120))
    assert first == asyncio.run(all_steps("a task", 120))
    sentences = "".join(agent.answer("a task", 2_000)).split("(")[1:]
    assert len(set(sentences)) == len(sentences) > 100


def test_a_tool_that_fails_ends_the_work() -> None:
    with pytest.raises(agent.ToolError, match="search"):
        asyncio.run(all_steps("this will fail", 40))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text", {"text": None}),
        ("text", {}),
        ("tool", {"call": 1, "name": "search"}),
        ("tool-result", {"call": 1, "output": b"x", "ok": True}),
        ("progress", {"done": 1, "total": 2.5, "label": ""}),
        ("end", {"status": "done", "note": "", "endedAt": "now"}),
    ],
)
def test_a_step_that_lacks_what_its_kind_has_is_refused_where_it_is_made(kind: Kind, data: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cannot have a"):
        Step(kind, data)
