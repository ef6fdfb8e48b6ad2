"""What follows from a failed attempt to send: no IO, no clock."""

from __future__ import annotations

import pytest

from watertight_sse._errors import GaveUpError, RequestError, TokenError
from watertight_sse._publisher._exchange import Again, Exchange, Final
from watertight_sse._publisher._limits import CLOSE_TIMEOUT, RETRY_MAX

LOST = RequestError("no connection")


def exchange(give_up_after: float | None = 120.0, *, can_refresh: bool = True) -> Exchange:
    """Begins at 0 and draws the longest waits."""
    return Exchange(0.0, give_up_after=give_up_after, can_refresh=can_refresh, random=lambda: 1.0)


def test_waits_double_up_to_ten_seconds() -> None:
    one = exchange(None)
    delays = [step.delay for _ in range(8) if isinstance(step := one.failed(LOST, 0.0), Again)]
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])


def test_a_kept_connection_that_was_just_closed_is_replaced_at_once_and_only_once() -> None:
    one = exchange()
    assert one.failed(LOST, 0.0, may_be_stale=True) == Again(0.0)
    step = one.failed(LOST, 0.0, may_be_stale=True)
    assert isinstance(step, Again)
    assert step.delay > 0


REFUSED = RequestError("", status=401, code="INVALID_TOKEN")


def test_a_401_is_mended_by_a_fresh_token_and_one_to_that_is_final() -> None:
    one = exchange()
    one.token_given()
    assert (one.failed(REFUSED, 0.0), one.refresh) == (Again(0.0), True)
    one.token_given()
    assert one.failed(REFUSED, 0.0) == Final(REFUSED)
    assert exchange(can_refresh=False).failed(REFUSED, 0.0) == Final(REFUSED)


def test_a_fresh_token_is_asked_for_until_there_is_one() -> None:
    one = exchange()
    one.token_given()
    one.failed(REFUSED, 0.0)
    for _ in range(3):
        assert isinstance(one.failed(TokenError("none"), 0.0), Again)
        assert one.refresh
    one.token_given()
    assert not one.refresh
    assert one.failed(REFUSED, 0.0) == Final(REFUSED)


def test_a_token_that_expires_in_a_long_outage_is_mended_as_often_as_that_happens() -> None:
    one = exchange(None)
    for _ in range(3):
        one.token_given()
        assert one.failed(REFUSED, 0.0) == Again(0.0)
        one.token_given()
        assert isinstance(one.failed(RequestError("", status=503), 0.0), Again)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 422])
def test_what_coming_back_cannot_change_is_final(status: int) -> None:
    refused = RequestError("", status=status)
    assert exchange().failed(refused, 0.0) == Final(refused)


@pytest.mark.parametrize(
    "error", [RequestError("", status=503), RequestError("", status=429), TokenError("none")]
)
def test_what_may_pass_is_sent_again(error: RequestError | TokenError) -> None:
    assert isinstance(exchange().failed(error, 0.0), Again)


def test_retry_after_is_waited_out() -> None:
    step = exchange().failed(RequestError("", status=503, retry_after=7.0), 0.0)
    assert isinstance(step, Again)
    assert 7.0 <= step.delay <= 7.2


def test_it_gives_up_in_time_and_says_why() -> None:
    one = exchange(30.0)
    now, steps = 0.0, 0
    while isinstance(step := one.failed(LOST, now), Again):
        now += step.delay
        steps += 1
    assert now <= 30.0
    assert now > 20.0, "an outage of 20 s is waited out"
    assert isinstance(step.error, GaveUpError)
    assert step.error.last is LOST
    assert step.error.attempts == steps + 1


def test_an_outage_of_30_s_that_begins_with_closing_ends_before_closing_gives_up() -> None:
    one = exchange()
    now = 0.0
    while now < 30.0:
        step = one.failed(LOST, now)
        assert isinstance(step, Again)
        now += step.delay
    assert now < CLOSE_TIMEOUT
    assert CLOSE_TIMEOUT > 30.0 + RETRY_MAX, "however the waits are drawn"


def test_an_outage_of_30_s_is_waited_out_by_default() -> None:
    for give_up_after in (120.0, None):
        one = exchange(give_up_after)
        now = 0.0
        while now < 30.0:
            step = one.failed(LOST, now)
            assert isinstance(step, Again), f"gave up after {now} s"
            now += step.delay
