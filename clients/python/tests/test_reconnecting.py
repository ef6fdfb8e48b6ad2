"""How a subscription comes back: from where, after how long, and when not. Without sockets, on a clock of its own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from watertight_sse import (
    ClosingEvent,
    Connecting,
    ConnectionFailed,
    Event,
    EventTooLarge,
    Gap,
    GaveUp,
    Open,
    Polling,
    RedirectFailed,
    Refused,
    RightWithdrawn,
    ServerStopped,
    StreamEnded,
    UnexpectedAnswer,
    Waiting,
)
from watertight_sse.plan import url_plan

from .world import RESET, Answer, World, polled, status, stream


def closing(code: str, text: str = "no") -> str:
    return f'event: error\ndata: {{"error":"{text}","code":"{code}"}}\n\n'


def test_a_clean_end_after_one_event_is_no_tight_loop_and_the_third_connection_resumes_too() -> None:
    world = World([stream(f"id: 7-{n}\ndata: x\n\nid: 9-9\ndata: cut off in the mid") for n in range(1, 61)])
    begun = world.now
    assert world.subscribe() is None
    assert world.header("last-event-id") == [None, *(f"7-{n}" for n in range(1, 60))]
    # Each came with an event, so each wait is the first of a back-off: a second, with the longest jitter.
    assert world.now - begun >= 59


def test_a_connection_that_dies_without_an_event_backs_off_although_it_was_opened() -> None:
    world = World([stream('event: error\ndata: {"code":"OVERLOADED"}\n\n: comment\n\n')] * 9)
    assert world.subscribe() is None
    assert [round(b - a) for a, b in pairwise(world.sent_at)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_connection_that_spoke_for_half_a_minute_was_healthy_and_a_silent_one_was_not() -> None:
    silent = stream(":\n\n", mute=True)
    speaking = stream(":\n\n", *[(10.0, b":\n\n")] * 4)
    world = World([silent, speaking, silent])
    assert world.subscribe(connect_timeout=300.0) is None
    assert [round(waiting.delay) for waiting in world.of(Waiting)] == [1, 1, 2]


@pytest.mark.parametrize(("told", "delay"), [("0", 0.1), ("5000", 5.0), ("99999999999", 60.0), ("1000x", 1.0)])
def test_retry_is_the_base_of_the_back_off_but_neither_spins_nor_parks(told: str, delay: float) -> None:
    world = World([stream(f"retry: {told}\n\n")])
    assert world.subscribe() is None
    assert world.of(Waiting)[0].delay == pytest.approx(delay)


def test_no_content_stops_it_for_ever() -> None:
    world = World([status(204), stream("data: x\n\n")])
    assert world.subscribe() is None
    assert world.told == [Connecting(1), ServerStopped()]


def test_exhaustion_is_an_error_and_the_end() -> None:
    world = World([status(500)] * 9)
    error = world.subscribe(max_retries=3, polling=False)
    assert isinstance(error, GaveUp)
    assert (error.attempts, round(error.elapsed)) == (4, 7)
    assert isinstance(error.last, Refused)
    assert error.last.status == 500
    assert world.of(Open) == [], "a 500 is no open stream"


def test_progress_gives_the_retries_back() -> None:
    answers = [answer for n in range(5) for answer in (RESET, stream(f"data: {n}\n\n"))]
    world = World(answers)
    assert world.subscribe(max_retries=2) is None
    assert len(world.requests) == 10


def test_without_retries_the_first_connection_is_the_last() -> None:
    world = World([stream("data: x\n\n")] * 2)
    error = world.subscribe(max_retries=0)
    assert isinstance(error, GaveUp)
    assert isinstance(error.last, StreamEnded)
    assert len(world.requests) == 1


@pytest.mark.parametrize("code", [408, 425, 429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "20"},
        {"retry_after": "Sun, 06 Nov 1994 08:49:20 GMT", "date": "Sun, 06 Nov 1994 08:49:00 GMT"},
    ],
    ids=["seconds", "date"],
)
def test_retry_after_is_waited_out_in_seconds_and_as_a_date(code: int, headers: dict[str, str]) -> None:
    world = World([status(code, **headers), stream("data: x\n\n")], random=lambda: 0.0)
    assert world.subscribe() is None
    assert world.sent_at[1] - world.sent_at[0] == 20


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 410, 422, 451])
def test_a_refusal_for_good_ends_it_although_its_body_never_does(code: int) -> None:
    answer = Answer(code, {}, ['{"code":"NO"'], mute=True)
    error = World([answer, stream("data: x\n\n")]).subscribe()
    assert isinstance(error, Refused)
    assert error.status == code


def test_a_refusal_has_the_words_of_the_hub() -> None:
    body = '{"title":"Forbidden","status":403,"code":"FORBIDDEN","detail":"not yours"}'
    error = World([status(403, body)]).subscribe()
    assert error is not None
    assert str(error) == "refused by the hub: 403 FORBIDDEN: not yours"
    assert error.code == "FORBIDDEN"


@pytest.mark.parametrize(
    ("code", "content_type"),
    [
        (200, "text/html"),
        (200, "text/event-streamX"),
        (200, "text/event-stream; charset=latin1"),
        (200, None),
        (201, "text/event-stream"),
        (205, "text/event-stream"),
        (206, "text/event-stream"),
        (299, "text/event-stream"),
        (304, "text/event-stream"),
    ],
)
def test_an_answer_that_is_no_stream_ends_it(code: int, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    error = World([Answer(code, headers, [], mute=True), stream("data: x\n\n")]).subscribe()
    assert isinstance(error, UnexpectedAnswer)


@pytest.mark.parametrize(
    "content_type",
    ["Text/Event-Stream", "text/event-stream;", "text/event-stream ; x=y", 'text/event-stream;charset="UTF-8"'],
)
def test_an_event_stream_may_be_named_in_any_of_its_ways(content_type: str) -> None:
    world = World([Answer(200, {"content-type": content_type}, ["data: x\n\n"])])
    assert world.subscribe() is None
    assert world.data == ["x"]


@pytest.mark.parametrize(
    "connections",
    [
        [("id:9\n\n", "9")],
        [("id:7\ndata:a\n\n", "7"), ("data:b\n\n", "7")],
        [("id:a\ndata:x\n\nid:b\ndata:y", "a")],
        [("id:a\ndata:x\n\n", "a"), ("id:\ndata:y\n\n", None)],
        [("id:a\ndata:x\n\nid\n\n", None)],
        [("id: \u00e9\u2603\ndata:x\n\n", "\u00e9\u2603")],
        # What no header may have does not end the stream: it goes on with the id before.
        [("id:a\ndata:x\n\nid:b\x01\ndata:y\n\n", "a")],
        [("id:a\ndata:x\n\nid:" + "b" * 1025 + "\ndata:y\n\n", "a")],
    ],
)
def test_the_cursor_follows_the_rules_over_connections(connections: list[tuple[str, str | None]]) -> None:
    world = World([*(stream(said) for said, _ in connections), stream()])
    assert world.subscribe() is None
    assert world.header("last-event-id")[1:] == [asked for _, asked in connections]


def test_what_was_delivered_before_is_not_delivered_again() -> None:
    epoch = "mg931z5aashp"
    world = World(
        [
            stream(f"id: {epoch}-1\ndata: 1\n\nid: {epoch}-2\ndata: 2\n\n"),
            stream(*(f"id: {epoch}-{n}\ndata: {n}\n\n" for n in (1, 2, 3))),
            stream("id: 0g931z5aashp-1\ndata: new life\n\n", "id: 7\ndata: a\n\nid: 7\ndata: b\n\nid: 6\ndata: c\n\n"),
        ]
    )
    assert world.subscribe() is None
    assert world.data == ["1", "2", "3", "new life", "a", "b", "c"]
    assert world.header("last-event-id") == [None, f"{epoch}-2", f"{epoch}-3"]


def test_a_duplicate_does_not_take_the_position_back() -> None:
    world = World([stream("id: mg931z5aashp-5\ndata: 5\n\nid: mg931z5aashp-4\ndata: 4\n\n"), stream()])
    assert world.subscribe() is None
    assert world.data == ["5"]
    assert world.header("last-event-id")[1] == "mg931z5aashp-5"


def test_after_a_gap_the_hub_may_begin_further_back() -> None:
    gap = '{"from":"mg931z5aashp-900","to":"mg931z5aashp-4","missed":null,"reason":"unknown_id"}'
    said = f"id: mg931z5aashp-4\nevent: gap\ndata: {gap}\n\nid: mg931z5aashp-5\ndata: five\n\n"
    world = World([stream(said)])
    assert world.subscribe(last_event_id="mg931z5aashp-900") is None
    assert world.of(Gap) == [Gap("unknown_id", "mg931z5aashp-900", "mg931z5aashp-4", None)]
    assert world.data == ["five"]


def test_gaps_and_closing_events_are_told_apart_from_events() -> None:
    said = [
        'event: gap\nid: 7-9\ndata: {"from":"7-2","to":"7-9","missed":6,"reason":"evicted"}\n\n',
        "event: gap\ndata: not json\n\n",
        'event: error\ndata: {"error":"Connection timeout","code":"TIMEOUT"}\n\n',
    ]
    world = World([stream(*said), stream()])
    assert world.subscribe() is None
    assert world.of(Gap) == [Gap("evicted", "7-2", "7-9", 6), Gap("unreadable")]
    assert world.of(ClosingEvent) == [ClosingEvent("TIMEOUT", "Connection timeout")]
    assert world.header("last-event-id") == [None, "7-9"]


def test_elsewhere_gap_and_error_are_events_like_any_other() -> None:
    world = World([stream("event: gap\ndata: g\n\nevent: error\ndata: e\n\n")])
    assert world.subscribe(url_plan("http://other.test/feed")) is None
    assert world.of(Event) == [Event("gap", "g"), Event("error", "e")]


def test_the_first_byte_must_come_in_time_whatever_the_head_says() -> None:
    world = World([stream(mute=True)])
    begun = world.now
    assert world.subscribe(connect_timeout=7.0) is None
    assert world.now - begun == pytest.approx(7 + world.of(Waiting)[0].delay)
    assert "first byte" in world.of(Waiting)[0].reason


@pytest.mark.parametrize(("interval", "silence"), [("20", 60), ("1", 15), ("nonsense", 45), ("9" * 30, 600), ("", 45)])
def test_silence_is_three_heartbeats_and_never_under_fifteen_seconds(interval: str, silence: float) -> None:
    world = World([stream(":\n\n", mute=True, heartbeat_interval=interval)])
    begun = world.now
    assert world.subscribe() is None
    assert world.now - begun == pytest.approx(silence + world.of(Waiting)[0].delay)


def test_nobody_comes_back_to_a_session_that_has_ended() -> None:
    world = World(
        [stream("id: 7\ndata: 1\n\n", closing("SESSION_ENDED", "over"), "data: never\n\n"), stream("data: no\n\n")]
    )
    assert world.subscribe() is None
    assert world.data == ["1"]
    assert world.told[-1] == ClosingEvent("SESSION_ENDED", "over")
    assert len(world.answers) == 1, "the script is not over: it ended by itself"


@pytest.mark.parametrize("code", ["TOKEN_REVOKED", "FORBIDDEN"])
def test_nobody_comes_back_to_a_stream_whose_right_was_taken_away(code: str) -> None:
    error = World([stream(closing(code)), stream("data: no\n\n")]).subscribe()
    assert isinstance(error, RightWithdrawn)
    assert error.code == code


@pytest.mark.parametrize("code", ["TIMEOUT", "SLOW_CONSUMER", "SHUTTING_DOWN", "DISCONNECTED", "CIRCUIT_OPEN"])
def test_after_any_other_closing_event_it_comes_back(code: str) -> None:
    world = World([stream("id: 7\n\n", closing(code)), stream("data: back\n\n")])
    assert world.subscribe() is None
    assert world.data == ["back"]
    assert world.header("last-event-id") == [None, "7"]


def test_a_token_is_asked_for_before_each_attempt_and_once_more_after_a_401() -> None:
    world = World(
        [stream("id: 1\ndata: x\n\n"), status(401), stream("id: 2\ndata: y\n\n"), status(401), status(401)],
        token=lambda refresh: "fresh" if refresh else "old",
    )
    error = world.subscribe()
    assert isinstance(error, Refused)
    assert error.status == 401
    assert world.asked == [False, False, True, False, True]
    assert world.header("authorization") == [f"Bearer {token}" for token in ("old", "old", "fresh", "old", "fresh")]
    assert world.header("last-event-id") == [None, "1", "1", "2", "2"]


def test_after_an_expired_token_a_fresh_one_is_asked_for_at_once_and_its_refusal_is_final() -> None:
    world = World([stream("data: x\n\n", closing("TOKEN_EXPIRED")), status(401)], token=lambda refresh: "t")
    assert isinstance(world.subscribe(), Refused)
    assert world.asked == [False, True]


def test_a_token_function_that_fails_is_asked_again_like_a_hub_that_is_away() -> None:
    calls: list[bool] = []

    def token(refresh: bool) -> str:
        calls.append(refresh)
        if len(calls) < 3:
            raise ValueError("not yet")
        return "t"

    world = World([stream("data: x\n\n")], token=token)
    assert world.subscribe(polling=False) is None
    assert world.data == ["x"]
    assert len(world.of(Waiting)) >= 2


def test_redirects_begin_at_the_original_address_each_time() -> None:
    moved = status(307, location="/elsewhere?x=1")
    world = World([moved, stream("id: 1\ndata: x\n\n"), moved, stream("data: y\n\n")])
    assert world.subscribe() is None
    home, there = "http://hub.test/sessions/demo/events", "http://hub.test/elsewhere?x=1"
    assert [str(request.url) for request in world.requests] == [home, there, home, there]
    assert world.data == ["x", "y"]


def test_secrets_do_not_follow_a_redirect_to_another_origin() -> None:
    world = World([status(302, location="http://other.test/feed"), stream("data: x\n\n")], token="secret")
    assert world.subscribe(headers={"x-secret": "s", "user-agent": "me"}) is None
    first, second = world.requests
    assert (first.headers["authorization"], first.headers["x-secret"]) == ("Bearer secret", "s")
    assert "authorization" not in second.headers
    assert "x-secret" not in second.headers
    assert second.headers["user-agent"] == "me"


@pytest.mark.parametrize(("code", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirect_changes_the_method_as_browsers_do(code: int, method: str) -> None:
    world = World([status(code, location="/there"), stream()])
    assert world.subscribe(url_plan("http://hub.test/", method="post", body="b", headers={"content-type": "t"})) is None
    second = world.requests[1]
    assert second.method == method
    assert (second.body, "content-type" in second.headers) == ((b"b", True) if method == "POST" else (b"", False))


@pytest.mark.parametrize("location", [None, "", "ftp://hub.test/", "http://user:word@hub.test/", "http://h:x/"])
def test_a_redirect_that_leads_nowhere_ends_it(location: str | None) -> None:
    answer = status(307) if location is None else status(307, location=location)
    assert isinstance(World([answer]).subscribe(), RedirectFailed)


def test_a_loop_of_redirects_ends_it() -> None:
    world = World([status(307, location="/again")] * 20)
    assert isinstance(world.subscribe(), RedirectFailed)
    assert len(world.requests) == 11


def test_an_event_over_the_limit_ends_it() -> None:
    error = World([stream("data: " + "x" * 5000, mute=True), stream("data: x\n\n")]).subscribe(max_event_bytes=1000)
    assert isinstance(error, EventTooLarge)
    assert error.limit == 1000


def test_history_is_asked_for_until_there_is_a_position() -> None:
    world = World([RESET, stream("id: 7\n\n"), stream()])
    assert world.subscribe(replay=3) is None
    assert [request.url.query for request in world.requests] == [b"replay=3", b"replay=3", b""]
    all_of_it = World([stream()])
    assert all_of_it.subscribe(replay="all") is None
    assert all_of_it.requests[0].url.query == b"replay=all"


POLL = '{{"events":[{{"id":"mg931z5aashp-{n}","type":"t","data":"{n}"}}],"next":"mg931z5aashp-{n}","gap":null}}'
NOTHING = '{"events":[],"next":"mg931z5aashp-2","gap":null}'


def test_where_streams_are_kept_back_it_polls_from_the_same_position_and_climbs_back() -> None:
    held = [Answer(after=31.0)] * 2
    world = World(
        [
            stream("id: mg931z5aashp-1\ndata: 1\n\n"),
            *held,
            Answer(after=31.0),
            polled(POLL.format(n=2)),
            polled(NOTHING, after=25.0),
            stream("id: mg931z5aashp-3\ndata: 3\n\n"),
        ]
    )
    assert world.subscribe() is None
    assert world.data == ["1", "2", "3"]
    assert len(world.of(Polling)) == 1
    queries = [request.url.params for request in world.requests]
    assert [query.get("wait") for query in queries] == [None, None, None, None, "0", "25", None]
    assert [query.get("after") for query in queries[4:6]] == ["mg931z5aashp-1", "mg931z5aashp-2"]
    assert world.header("last-event-id")[-1] == "mg931z5aashp-2"


def test_long_polls_that_are_answered_at_once_with_nothing_are_no_tight_loop() -> None:
    world = World([*[Answer(after=31.0)] * 3, *[polled(NOTHING)] * 10])
    assert world.subscribe(last_event_id="mg931z5aashp-2") is None
    polls = world.sent_at[3:]
    assert all(later - earlier >= 1 for earlier, later in pairwise(polls[1:]))


def test_the_end_of_a_session_ends_polling_too() -> None:
    end = '{"events":[],"next":"7","gap":null,"end":{"error":"over","code":"SESSION_ENDED"}}'
    world = World([*[Answer(after=31.0)] * 3, polled(end), stream("data: no\n\n")])
    assert world.subscribe() is None
    assert world.told[-1] == ClosingEvent("SESSION_ENDED", "over")
    assert len(world.answers) == 1


def test_an_answer_that_is_repeated_tells_its_gap_and_its_events_once() -> None:
    answer = (
        '{"events":[{"id":"mg931z5aashp-8","type":"tick","data":"x"}],"next":"mg931z5aashp-9",'
        '"gap":{"from":null,"to":"mg931z5aashp-7","missed":null,"reason":"epoch"}}'
    )
    world = World([*[Answer(after=31.0)] * 3, *[polled(answer)] * 3])
    assert world.subscribe() is None
    assert world.of(Gap) == [Gap("epoch", None, "mg931z5aashp-7")]
    assert world.data == ["x"]
    assert world.positions[-1] == "mg931z5aashp-9"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"events":[]}', '{"events":[{"id":7}],"next":"7"}', "<html>"])
def test_what_no_hub_answers_to_a_long_poll_ends_nothing(body: str) -> None:
    world = World([*[Answer(after=31.0)] * 3, polled(body), stream("data: x\n\n")])
    assert world.subscribe() is None
    assert world.data == ["x"]


def test_an_event_over_the_limit_is_an_error_in_a_long_poll_too() -> None:
    body = f'{{"events":[{{"id":"7","type":"t","data":"{"x" * 1001}"}}],"next":"7"}}'
    error = World([*[Answer(after=31.0)] * 3, polled(body)]).subscribe(max_event_bytes=1000)
    assert isinstance(error, EventTooLarge)


def test_positions_tell_where_to_resume_behind_each_item() -> None:
    world = World([stream("id: 1\n\n", "id: 2\ndata: x\n\n", "data: y\n\n")])
    assert world.subscribe() is None
    assert world.positions[:5] == ["", "", "1", "2", "2"]


def test_a_connection_that_breaks_is_a_failure_like_any_other() -> None:
    world = World([RESET] * 3)
    error = world.subscribe(max_retries=2, polling=False)
    assert isinstance(error, GaveUp)
    assert isinstance(error.last, ConnectionFailed)
