"""What follows an attempt: the table that three languages share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.cases import load
from tests.kit.pure import core_of, headers
from watertight_sse._errors import GaveUpError, RequestError
from watertight_sse._subscriber.attempt import Attempt, Move
from watertight_sse._subscriber.core import Core
from watertight_sse._subscriber.fallback import Fallback, Next

_TABLE = load("reconnect-cases.json")


def _follow(fallback: Fallback, step: dict[str, Any]) -> Next:
    now = step["at"] / 1000
    match step["happened"]:
        case "streamFailed":
            return fallback.stream_failed(
                now, is_held_back=step["isHeldBack"], has_retry_after=step["hasRetryAfter"]
            )
        case "streamWorked":
            return fallback.stream_worked()
        case "pollAnswered":
            return fallback.poll_answered(now)
        case "pollFailed":
            return fallback.poll_failed()
        case "pollNotUnderstood":
            return fallback.poll_not_understood(now)
        case other:
            raise AssertionError(f"no such thing happens: {other}")


@pytest.mark.parametrize("case", _TABLE["fallback"], ids=lambda case: case["name"])
def test_the_next_way_is_what_the_shared_table_says(case: dict[str, Any]) -> None:
    fallback = Fallback(case["isEnabled"])
    for number, step in enumerate(case["steps"]):
        next = _follow(fallback, step)
        expected = (Next(step["next"], step["isAtOnce"]), step["isPolling"], step["next"])
        assert (next, fallback.is_polling, fallback.way) == expected, f"step {number}: {step}"


def _to_poll(core: Core) -> Attempt:
    """Lets streams fail until it is a long-poll's turn."""
    now = 0.0
    while True:
        step = core.step(now)
        assert step is not None
        if not isinstance(step, Attempt):
            now += step
        elif step.way == "poll":
            return step
        else:
            step.failed(RequestError("gone"))
            core.finish(step, now)


@pytest.mark.parametrize("case", _TABLE["refusals"], ids=lambda case: " ".join(map(str, case.values())))
def test_what_follows_a_refusal_is_what_the_shared_table_says(case: dict[str, Any]) -> None:
    core = core_of(token=(lambda: "t") if case["canRefresh"] else "t")
    attempt = _to_poll(core) if case["way"] == "poll" else core.step(0)
    assert isinstance(attempt, Attempt)
    attempt.send("Bearer t", 0)
    move = attempt.take_head(case["status"], headers(), 0, 0)
    if move is Move.REFRESH:
        follows = "refresh"
    else:
        core.finish(attempt, 0)
        follows = "failed" if core.is_over else "again"
    assert follows == case["follows"]
    if follows == "failed":
        error = core.take_error()
        assert isinstance(error, RequestError)
        assert error.status == case["status"]


@pytest.mark.parametrize(
    ("failures", "allowed", "is_over"),
    [(0, 0, True), (2, 3, False), (3, 3, True), (1_000, None, False)],
)
def test_it_gives_up_after_so_many_retries(failures: int, allowed: int | None, is_over: bool) -> None:
    core = core_of(max_retries=allowed, polling=False)
    now = 0.0
    for _ in range(failures + 1):
        while not isinstance(step := core.step(now), Attempt):
            assert step is not None
            now += step
        step.failed(RequestError("gone"))
        core.finish(step, now)
    assert core.is_over == is_over
    error = core.take_error()
    if is_over:
        assert isinstance(error, GaveUpError)
        assert (error.attempts, str(error.last)) == (failures + 1, "gone")
