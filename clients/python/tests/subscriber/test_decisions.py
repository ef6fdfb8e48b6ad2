"""What a subscription does next, in virtual time and without a socket."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.kit.pure import HUB, begin, core_of, headers, items, open_stream
from watertight_sse._errors import EventTooLargeError, RequestError, StreamClosedError, TokenError
from watertight_sse._event import Event, Gap
from watertight_sse._subscriber.attempt import Attempt, Move
from watertight_sse._subscriber.core import Core
from watertight_sse._subscriber.status import ConnectionStatus

NEW_LIFE = "00000000000z-0"
FIRST, SECOND, THIRD = (f"mg931z5aashp-{number}" for number in (1, 2, 3))


def _closing(code: str) -> str:
    return f'event: error\ndata: {{"error":"why","code":"{code}"}}\nretry: 200\n\n'


def test_the_end_of_a_session_is_an_end_and_no_error() -> None:
    core = core_of()
    attempt = open_stream(core, 0)
    assert items(attempt, f"id: {FIRST}\ndata: x\n\n" + _closing("SESSION_ENDED"), 0) == [
        Event(FIRST, "message", "x")
    ]
    assert attempt.is_over
    core.finish(attempt, 0)
    assert (core.step(0), core.take_error(), core.status.reason) == (None, None, "session-ended")


@pytest.mark.parametrize("code", ["TOKEN_REVOKED", "FORBIDDEN"])
def test_a_right_that_was_taken_away_is_an_error_and_final(code: str) -> None:
    core = core_of(token=lambda: "t")
    attempt = open_stream(core, 0)
    assert items(attempt, _closing(code), 0) == []
    core.finish(attempt, 0)
    error = core.take_error()
    assert isinstance(error, StreamClosedError)
    assert (error.code, error.can_retry, core.step(0)) == (code, False, None)


@pytest.mark.parametrize(
    "code",
    ["TIMEOUT", "SLOW_CONSUMER", "SHUTTING_DOWN", "DISCONNECTED", "CIRCUIT_OPEN", "OVERLOADED", "NEW_ONE"],
)
def test_after_any_other_closing_event_it_comes_back_after_the_servers_retry(code: str) -> None:
    told: list[ConnectionStatus] = []
    core = core_of(on_state=told.append, random=lambda: 1.0)
    attempt = open_stream(core, 0)
    items(attempt, f"id: {FIRST}\n\n" + _closing(code), 0)
    core.finish(attempt, 0)
    assert core.step(0) == pytest.approx(0.2)
    error = told[-1].error
    assert isinstance(error, StreamClosedError)
    assert (error.code, told[-1].state, told[-1].failures) == (code, "reconnecting", 1)
    request = begin(core, 0.2).send(None, 0.2)
    assert (b"last-event-id", FIRST.encode()) in request.headers


def test_after_token_expired_it_asks_for_a_fresh_token_and_a_401_to_that_one_is_final() -> None:
    core = core_of(token=lambda: "t")
    attempt = open_stream(core, 0)
    assert not attempt.refresh
    items(attempt, _closing("TOKEN_EXPIRED"), 0)
    core.finish(attempt, 0)
    again = begin(core, 1)
    assert again.refresh
    assert again.take_head(401, headers(), 1, 0) is Move.DONE
    core.finish(again, 1)
    error = core.take_error()
    assert isinstance(error, RequestError)
    assert error.status == 401


def test_an_attempt_refreshes_its_token_once_and_the_next_one_again() -> None:
    core = core_of(token=lambda: "t")
    for at in (0, 10):
        attempt = begin(core, at)
        assert attempt.take_head(401, headers(), at, 0) is Move.REFRESH
        assert attempt.refresh
        assert attempt.take_head(200, headers(content_type="text/event-stream"), at, 0) is Move.STREAM
        attempt.ended()
        core.finish(attempt, at)


def test_what_a_server_and_a_cache_repeat_comes_once_and_foreign_ids_always() -> None:
    core = core_of()
    attempt = open_stream(core, 0)
    twice = (
        f"id: {FIRST}\ndata: 1\n\nid: {SECOND}\ndata: 2\n\nid: {FIRST}\ndata: 1\n\nid: {THIRD}\ndata: 3\n\n"
    )
    assert [item.id for item in items(attempt, twice, 0)] == [FIRST, SECOND, THIRD]
    assert core.cursor.id == THIRD
    foreign = items(attempt, "id: 7\ndata: a\n\nid: 7\ndata: b\n\nid: 6\ndata: c\n\n", 0)
    assert [item.id for item in foreign] == ["7", "7", "6"]


def test_a_gap_is_an_item_where_it_is_and_the_stream_may_begin_anew_behind_it() -> None:
    core = core_of()
    attempt = open_stream(core, 0)
    gap = '{"from":"mg931z5aashp-3","to":"00000000000z-0","missed":null,"reason":"epoch","later":1}'
    text = f"id: {THIRD}\ndata: a\n\nid: 00000000000z-0\nevent: gap\ndata: {gap}\n\nid: 00000000000z-1\ndata: b\n\n"
    assert items(attempt, text, 0) == [
        Event(THIRD, "message", "a"),
        Gap("00000000000z-0", THIRD, "00000000000z-0", None, "epoch"),
        Event("00000000000z-1", "message", "b"),
    ]


def test_a_gap_that_moves_nothing_is_no_progress() -> None:
    core = core_of(last_event_id=THIRD)
    attempt = open_stream(core, 0)
    (gap,) = items(attempt, f'id: {THIRD}\nevent: gap\ndata: {{"reason":"source"}}\n\n', 0)
    assert isinstance(gap, Gap)
    assert not attempt.has_progress, "a server that repeats it for ever must not be asked in a tight loop"
    items(attempt, f'id: {NEW_LIFE}\nevent: gap\ndata: {{"reason":"epoch"}}\n\n', 0)
    assert attempt.has_progress


def test_a_gap_that_nobody_can_read_is_a_gap() -> None:
    attempt = open_stream(core_of(), 0)
    for data in ("[]", "{", "7", '{"reason":7}'):
        (gap,) = items(attempt, f"id: {FIRST}\nevent: gap\ndata: {data}\n\n", 0)
        assert isinstance(gap, Gap)
        assert gap.reason == "unreadable"


def test_of_another_server_gap_and_error_are_events_like_any_other() -> None:
    core = core_of("http://other/stream", None)
    attempt = open_stream(core, 0, {"content-type": "text/event-stream"})
    found = items(attempt, "event: gap\ndata: x\n\nevent: error\ndata: y\n\n", 0)
    assert [type(item) for item in found] == [Event, Event]
    assert not attempt.is_over


def test_whoever_names_a_heartbeat_is_a_hub_also_by_a_full_url() -> None:
    attempt = open_stream(core_of("http://hub/sessions/s/events", None), 0)
    (gap,) = items(attempt, f'id: {FIRST}\nevent: gap\ndata: {{"reason":"evicted"}}\n\n', 0)
    assert isinstance(gap, Gap)


def test_an_answer_to_a_long_poll_is_told_in_order_and_repeated_answers_once() -> None:
    core = core_of()
    answer = (
        b'{"events":[{"id":"mg931z5aashp-8","type":"tick","data":"x","created_at":5.5}],"next":"mg931z5aashp-9",'
        b'"gap":{"from":null,"to":"mg931z5aashp-7","missed":3,"reason":"evicted"},"later":"field"}'
    )
    for turn in range(2):
        attempt = _polling(core, turn * 100.0)
        assert attempt.take_head(200, headers(content_type="application/json"), 0, 0) is Move.BODY
        attempt.take_body(answer)
        found = [attempt.next_item() for _ in range(3)]
        if turn == 0:
            assert found == [
                Gap("mg931z5aashp-7", None, "mg931z5aashp-7", 3, "evicted"),
                Event("mg931z5aashp-8", "tick", "x", 5.5),
                None,
            ]
        else:
            assert found == [None] * 3
        assert attempt.is_over
        core.finish(attempt, turn * 100.0)
        assert core.cursor.id == "mg931z5aashp-9"


def test_a_long_poll_that_brought_nothing_is_not_followed_by_the_next_one_at_once() -> None:
    core = core_of()
    now = 0.0
    for turn in range(3):
        attempt = _polling(core, now)
        attempt.take_head(200, headers(content_type="application/json"), now, 0)
        attempt.take_body(b'{"events":[],"next":"mg931z5aashp-1"}')
        assert attempt.next_item() is None
        core.finish(attempt, now)
        if turn > 0:
            assert core.step(now) == pytest.approx(0.5)
            now += 0.5


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"events":[]}', '{"events":[{"id":7}],"next":"7"}', "<html>"]
)
def test_what_no_hub_answers_to_a_long_poll_is_not_understood_and_ends_nothing(body: str) -> None:
    core = core_of()
    attempt = _polling(core, 0)
    attempt.take_head(200, headers(content_type="application/json"), 0, 0)
    attempt.take_body(body.encode())
    core.finish(attempt, 0)
    assert not core.is_over


def test_the_end_of_a_session_comes_by_long_poll_as_well() -> None:
    core = core_of()
    attempt = _polling(core, 0)
    attempt.take_head(200, headers(content_type="application/json"), 0, 0)
    attempt.take_body(b'{"events":[],"next":"7","gap":null,"end":{"error":"over","code":"SESSION_ENDED"}}')
    assert attempt.next_item() is None
    core.finish(attempt, 0)
    assert core.status.reason == "session-ended"


def test_an_event_over_the_limit_is_an_error_whichever_way_it_comes() -> None:
    core = core_of(max_event_bytes=1_000)
    attempt = open_stream(core, 0)
    assert items(attempt, "data: " + "x" * 1_001, 0) == []
    core.finish(attempt, 0)
    assert isinstance(core.take_error(), EventTooLargeError)
    core = core_of(max_event_bytes=1_000)
    attempt = _polling(core, 0)
    attempt.take_head(200, headers(content_type="application/json"), 0, 0)
    attempt.take_body(b'{"events":[{"id":"7","type":"t","data":"%s"}],"next":"7"}' % (b"x" * 1_001))
    assert attempt.next_item() is None
    core.finish(attempt, 0)
    assert isinstance(core.take_error(), EventTooLargeError)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"heartbeat-interval": "20"}, 60),
        ({"heartbeat-interval": "1"}, 15),
        ({"heartbeat-interval": "nonsense"}, 45),
        ({"heartbeat-interval": "99999999999999999999"}, 600),
        ({}, 45),
    ],
)
def test_silence_is_three_heartbeats_and_never_under_fifteen_seconds(
    head: dict[str, str], expected: float
) -> None:
    attempt = open_stream(core_of(), 0, {"content-type": "text/event-stream", **head})
    attempt.feed(b":", 5)
    assert attempt.deadline == 5 + expected


def test_a_read_timeout_of_the_applications_own_replaces_it() -> None:
    attempt = open_stream(core_of(read_timeout=2.0), 0)
    attempt.feed(b":", 5)
    assert attempt.deadline == 7
    attempt = open_stream(core_of(read_timeout=math.inf), 0)
    attempt.feed(b":", 5)
    assert attempt.deadline == math.inf


def test_a_hub_whose_first_byte_does_not_come_is_kept_back_by_somebody() -> None:
    told: list[ConnectionStatus] = []
    core = core_of(connect_timeout=3.0, on_state=told.append)
    attempt = open_stream(core, 0)
    assert attempt.deadline == 3
    assert [status.state for status in told] == ["connecting"], "no stream yet"
    attempt.feed(b": watertight\n", 2)
    assert told[-1].state == "open"


def test_after_three_attempts_without_a_stream_long_polls_take_over_and_climb_back() -> None:
    told: list[ConnectionStatus] = []
    core = core_of(on_state=told.append)
    now = 0.0
    for _ in range(3):
        attempt = _due(core, now)
        assert attempt.way == "stream"
        now = attempt.begun_at + 10
        attempt.timed_out()
        core.finish(attempt, now)
    attempt = _due(core, now)
    assert attempt.way == "poll"
    assert "wait=0" in attempt.send(None, now).url, "the first one is to be answered at once"
    _answer(core, attempt, now, "1")
    attempt = _due(core, now)
    assert (attempt.way, core.status.state) == ("poll", "polling")
    assert "wait=25" in attempt.send(None, now).url
    now += 16
    _answer(core, attempt, now, "2")
    attempt = _due(core, now)
    assert (attempt.way, core.status.state) == ("stream", "reconnecting")
    attempt.take_head(200, headers(**{"content-type": HUB["content-type"]}), now, 0)
    assert told[-1].state == "open"


def test_failures_are_counted_anew_after_an_event_not_after_a_mere_200() -> None:
    core = core_of(polling=False, random=lambda: 1.0)
    now = 0.0
    delays: list[float] = []
    for turn in range(6):
        attempt = open_stream(core, now)
        attempt.feed(b": hello\n\n" if turn != 3 else b"data: x\n\n", now)
        attempt.next_item()
        attempt.ended()
        core.finish(attempt, now)
        delay = core.step(now)
        assert isinstance(delay, float)
        delays.append(round(delay, 3))
        now += delay
    assert delays == [1, 2, 4, 1, 2, 4]


def test_thirty_seconds_of_heartbeats_are_health_thirty_seconds_of_silence_are_not() -> None:
    for heartbeat_at, expected in ((31.0, 1.0), (1.0, 2.0)):
        core = core_of(polling=False, random=lambda: 1.0)
        attempt = begin(core, 0)
        attempt.failed(RequestError("gone"))
        core.finish(attempt, 0)
        attempt = open_stream(core, 1)
        attempt.feed(b":\n\n", 1 + heartbeat_at)
        attempt.timed_out()
        core.finish(attempt, 50)
        assert core.step(50) == pytest.approx(expected)


def test_retry_after_is_waited_out_and_its_date_compared_with_the_servers_own_clock() -> None:
    for fields, expected in (
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "Sun, 06 Nov 1994 12:00:10 GMT", "date": "Sun, 06 Nov 1994 12:00:00 GMT"}, 10.0),
        ({"retry_after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 37.0),
        ({"retry_after": "soon"}, 0.1),
        ({"retry_after": "99999999999999999999"}, 300.0),
    ):
        core = core_of()
        attempt = begin(core, 0)
        attempt.take_head(503, headers(**fields), 0, 784111740.0)
        core.finish(attempt, 0)
        assert core.step(0) == pytest.approx(expected), fields


def test_a_token_function_that_fails_is_asked_again_after_a_while() -> None:
    core = core_of(token=lambda: "t")
    attempt = begin(core, 0)
    attempt.failed(TokenError("cannot get a token: KeyError"))
    core.finish(attempt, 0)
    assert core.step(0) == pytest.approx(0.1)


def test_a_loop_of_cancelled_waits_is_no_loop_of_connections() -> None:
    core = core_of()
    core.drop(begin(core, 100.0))
    assert core.step(100.05) == pytest.approx(0.95)
    # A hub says hello at once, and that is no item.
    attempt = open_stream(core, 101.0)
    items(attempt, f": watertight\nretry: 1711\nid: {FIRST}\n\n", 101.0)
    core.drop(attempt)
    assert core.step(101.05) == pytest.approx(0.95)
    attempt = open_stream(core, 102.0)
    items(attempt, "data: x\n\n", 102.0)
    core.drop(attempt)
    assert core.step(102.05) == pytest.approx(0.05)


def test_a_refusal_is_worded_by_its_problem_document_if_that_comes() -> None:
    body = b'{"title":"Forbidden","status":403,"detail":"not yours","code":"FORBIDDEN"}'
    for told, expected in ((body, "refused with 403 FORBIDDEN: not yours"), (None, "refused with 403")):
        core = core_of()
        attempt = begin(core, 0)
        assert attempt.take_head(403, headers(content_type="application/problem+json"), 0, 0) is Move.BODY
        assert attempt.deadline == 1
        if told is None:
            attempt.timed_out()
        else:
            attempt.take_body(told)
        core.finish(attempt, 0)
        assert str(core.take_error()) == expected


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content_type": "text/html"}, "the content type is text/html"),
        ({}, "the content type is missing"),
        ({"content_type": "text/event-streamX"}, "not text/event-stream"),
        ({"content_type": "text/event-stream; charset=latin1"}, "the charset is not UTF-8"),
        ({"content_type": "text/event-stream", "content_encoding": "gzip"}, "compressed"),
    ],
)
def test_an_answer_that_is_no_event_stream_is_final(fields: dict[str, str], text: str) -> None:
    core = core_of()
    attempt = begin(core, 0)
    assert attempt.take_head(200, headers(**fields), 0, 0) is Move.DONE
    core.finish(attempt, 0)
    assert text in str(core.take_error())


@pytest.mark.parametrize(
    "type",
    [
        "Text/Event-Stream",
        "text/event-stream;",
        'text/event-stream; charset="UTF-8"',
        "text/event-stream ;x=y",
    ],
)
def test_an_event_stream_may_be_spelled_in_many_ways(type: str) -> None:
    assert begin(core_of(), 0).take_head(200, headers(content_type=type), 0, 0) is Move.STREAM


def test_an_answer_to_a_post_that_ends_is_over_unless_the_application_or_a_hub_says_otherwise() -> None:
    plain = {"content-type": "text/event-stream"}
    cases: list[tuple[dict[str, Any], dict[str, str], bool]] = [
        ({"method": "POST"}, plain, True),
        ({"method": "POST"}, HUB, False),
        ({"method": "POST", "on_end": "reconnect"}, plain, False),
        ({"on_end": "stop"}, plain, True),
        ({}, plain, False),
    ]
    for options, head, is_over in cases:
        core = core_of("http://other/x", None, **options)
        attempt = open_stream(core, 0, head)
        items(attempt, "data: x\n\n", 0)
        attempt.ended()
        core.finish(attempt, 0)
        assert core.is_over == is_over, options
        assert core.take_error() is None


def _due(core: Core, now: float) -> Attempt:
    """The next attempt, once its time has come."""
    while not isinstance(step := core.step(now), Attempt):
        assert step is not None
        now += step
    step.send(None, now)
    return step


def _answer(core: Core, attempt: Attempt, now: float, id: str) -> None:
    attempt.take_head(200, headers(content_type="application/json"), now, 0)
    attempt.take_body(
        b'{"events":[{"id":"%s","type":"t","data":"x"}],"next":"%s"}' % (id.encode(), id.encode())
    )
    while attempt.next_item() is not None:
        pass
    core.finish(attempt, now)


def _polling(core: Core, now: float) -> Attempt:
    """A long-poll, after as many streams as it takes."""
    while True:
        attempt = _due(core, now)
        if attempt.way == "poll":
            return attempt
        attempt.timed_out()
        core.finish(attempt, now)
