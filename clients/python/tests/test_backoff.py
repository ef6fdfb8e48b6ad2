"""The schedule of retries: its bounds hold whatever servers ask for and whatever is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from watertight_sse.backoff import Backoff
from watertight_sse.limits import RETRY_AFTER_MAX, RETRY_MIN


@pytest.mark.parametrize("seed", range(200))
def test_no_schedule_leaves_its_bounds(seed: int) -> None:
    chance = random.Random(seed)
    odd = [float("nan"), float("inf"), -float("inf"), -1.0, 2.0, 1e300, 0.0, 1.0]
    ceiling = chance.choice([0.0, 0.1, 1.0, 60.0, 1e9])
    draws: Callable[[], float] = lambda: chance.choice([*odd, chance.random()])  # noqa: E731
    backoff = Backoff(chance.choice([*odd, 5.0]), ceiling, draws)
    for _ in range(100):
        match chance.randrange(5):
            case 0:
                backoff.reset()
            case 1:
                backoff.set_base(chance.choice([*odd, chance.random() * 1000]))
            case 2:
                told = min(chance.random() * 1000, RETRY_AFTER_MAX)
                assert told <= backoff.next_delay(told) <= told + max(ceiling, RETRY_MIN)
            case _:
                assert RETRY_MIN <= backoff.next_delay() <= max(ceiling, RETRY_MIN)


@pytest.mark.parametrize("base", [0.1, 0.5, 1.0, 4.9])
def test_delays_double_up_to_the_ceiling(base: float) -> None:
    backoff = Backoff(base, 60.0, lambda: 1.0)
    assert [backoff.next_delay() for _ in range(40)] == pytest.approx([min(base * 2**n, 60.0) for n in range(40)])


def test_jitter_spreads_over_the_whole_span() -> None:
    chance = random.Random(7)
    delays: list[float] = []
    for _ in range(500):
        delays.append(Backoff(1.0, 60.0, chance.random).next_delay())
    assert min(delays) < 0.15
    assert max(delays) > 0.95


def test_retry_after_is_waited_out_but_not_for_a_year() -> None:
    backoff = Backoff(1.0, 60.0, lambda: 1.0)
    assert backoff.next_delay(7.0) == 8.0
    assert backoff.next_delay(float("inf")) <= RETRY_AFTER_MAX + 60.0
