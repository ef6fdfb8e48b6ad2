"""The small parts: back-off, URLs, tokens, the cursor, requests and where redirects take them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

import watertight_sse.sync
from tests.kit.pure import options_of
from watertight_sse._back_off import RETRY_AFTER_MAX, RETRY_MIN, BackOff
from watertight_sse._errors import TokenError
from watertight_sse._event import Event, Gap
from watertight_sse._subscriber.cursor import Cursor, LogPosition, is_sendable
from watertight_sse._subscriber.request import Asking, Request
from watertight_sse._token import Token
from watertight_sse._urls import Endpoint, with_query

FIRST, SECOND, NEW_LIFE = "mg931z5aashp-1", "mg931z5aashp-2", "00000000000z-1"


def test_delays_double_up_to_the_ceiling_with_full_jitter() -> None:
    back_off = BackOff(1.0, 30.0, random=lambda: 1.0)
    assert [back_off.next_delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    for _ in range(2_000):
        assert back_off.next_delay() == 30
    lowest = BackOff(1.0, 30.0, random=lambda: 0.0)
    assert {lowest.next_delay() for _ in range(50)} == {RETRY_MIN}
    spread = BackOff(1.0, 30.0)
    delays: list[float] = []
    for _ in range(500):
        spread.reset()
        delays.append(spread.next_delay())
    assert min(delays) < 0.3
    assert max(delays) > 0.8
    assert all(RETRY_MIN <= delay <= 1 for delay in delays)


@pytest.mark.parametrize("drawn", [math.nan, math.inf, -math.inf, -1.0, 2.0])
def test_no_source_of_numbers_takes_a_delay_out_of_its_bounds(drawn: float) -> None:
    back_off = BackOff(1.0, 30.0, random=lambda: drawn)
    for retry in (0.0, 1e300, 0.5):
        back_off.set_base(retry)
        for _ in range(100):
            assert RETRY_MIN <= back_off.next_delay() <= 30
        assert 7 <= back_off.next_delay(7) <= 37
        assert back_off.next_delay(math.inf) <= RETRY_AFTER_MAX + 30


def test_urls_are_read_with_a_prefix_and_unix_sockets_with_their_path() -> None:
    assert Endpoint.parse("http://localhost:8080/hub/").events("demo") == (
        "http://localhost:8080/hub/sessions/demo/events"
    )
    assert Endpoint.parse("http://h").events("a/b?c#d e\r\nü") == (
        "http://h/sessions/a%2Fb%3Fc%23d%20e%0D%0A%C3%BC/events"
    )
    unix = Endpoint.parse("unix:/run/hub.sock")
    assert (unix.socket, unix.events("demo")) == ("/run/hub.sock", "http://localhost/sessions/demo/events")
    assert with_query("/x?a=1", {"b": "2&", "c": None}) == "/x?a=1&b=2%26"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://h", "must start with http"),
        ("h", "must start with http"),
        ("http://", "names no host"),
        ("http://h:x", "its host or its port is none"),
        ("http://h:99999", "its host or its port is none"),
        ("http://joe:secret@h/", "user name"),
        ("http://h/?secret=1", "query"),
        ("http://h /", "blanks"),
        ("unix:hub.sock", "begins with a slash"),
        ("unix:/run/", "ends with a name"),
    ],
)
def test_what_is_no_usable_url_is_refused_with_a_reason_and_without_its_secrets(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Endpoint.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_a_session_that_no_path_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="session name"):
        Endpoint.parse("http://h").events(name)


@pytest.mark.parametrize(
    "options",
    [
        {"last_event_id": "a\nb"},
        {"last_event_id": "x" * 1_025},
        {"replay": -1},
        {"replay": "some"},
        {"method": "NO METHOD"},
        {"on_end": "maybe"},
        {"max_retries": -1},
        {"connect_timeout": 0},
        {"read_timeout": math.nan},
        {"max_event_bytes": 0},
        {"headers": {"a b": "c"}},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"Host": "elsewhere"}},
        {"token": "two words"},
        {"token": ""},
        {"retry_base": 0},
        {"proxy": "nonsense://x"},
    ],
    ids=str,
)
def test_an_option_that_no_request_can_carry_is_refused_before_anything_is_sent(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        options_of(**options)
    assert "words" not in str(caught.value)


async def test_tokens_come_from_texts_and_functions_of_all_kinds() -> None:
    async def asynchronous() -> str:
        return "a"

    async def refreshable(*, refresh: bool) -> str:
        return f"fresh-{refresh}"

    class Source:
        def __call__(self, *, refresh: bool) -> str:
            return f"object-{refresh}"

    assert await Token(None).aget() is None
    assert await Token("t").aget() == "Bearer t"
    assert await Token(lambda: "l").aget(refresh=True) == "Bearer l"
    assert await Token(lambda: None).aget() is None
    assert await Token(asynchronous).aget() == "Bearer a"
    assert await Token(refreshable).aget(refresh=True) == "Bearer fresh-True"
    assert Token(Source()).get() == "Bearer object-False"

    def of_anything(**given: bool) -> str:
        return str(given["refresh"])

    assert Token(of_anything).get(refresh=True) == "Bearer True"
    assert [Token(source).can_refresh for source in (None, "t", asynchronous)] == [False, False, True]


async def test_a_token_that_cannot_be_had_is_an_error_that_shows_nothing_of_it() -> None:
    def failing() -> str:
        raise KeyError("secret")

    async def failing_later() -> str:
        raise KeyError("secret")

    async def asynchronous() -> str:
        return "secret"

    for source, words in (
        (failing, "KeyError"),
        (failing_later, "KeyError"),
        (lambda: "a secret\n", "cannot be sent"),
        (lambda: 7, "gave no text, but int"),
    ):
        with pytest.raises(TokenError, match=words) as caught:
            await Token(source).aget()  # type: ignore[arg-type]  # what untyped callers do
        assert "secret" not in str(caught.value)
    with pytest.raises(TokenError, match="has to be a plain one"):
        Token(asynchronous).get()
    assert "secret" not in repr([Token("secret"), Token(asynchronous)])


async def test_whose_a_cancellation_is_decides_whether_it_is_an_error_of_the_token() -> None:
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    heard: list[str] = []

    async def waiting() -> str:
        try:
            return await shared
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    asking = asyncio.create_task(Token(waiting).aget())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shared.cancel()
    with pytest.raises(TokenError, match="CancelledError"):
        await asking
    shared = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(Token(waiting).aget())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))
    assert asking.cancelled()
    assert heard == ["cancelled"] * 2


def test_an_async_function_for_tokens_is_refused_where_nobody_can_await_it() -> None:
    async def asynchronous() -> str:
        return "t"

    class Source:
        async def __call__(self, *, refresh: bool) -> str:
            return str(refresh)

    for source in (asynchronous, Source()):
        with pytest.raises(TypeError, match="has to be a plain one"):
            watertight_sse.sync.subscribe("http://h", "s", token=source)  # type: ignore[arg-type]  # what untyped callers do


def test_only_the_hubs_own_form_is_a_position() -> None:
    assert LogPosition.parse("mg931z5aashp-0") == ("mg931z5aashp", 0)
    for foreign in (
        "",
        "7-1",
        "mg931z5aashp",
        "mg931z5aashp-",
        "mg931z5aashp-01",
        "mg931z5aashp--1",
        "mg931z5aashp-1x",
        "mg931z5aashp-1\n",
        "mg931z5aashp-90071992547409911",
        "mg931z5aash-1",
        "mg931z5aashl-1",
        "MG931z5aashp-1",
        "mg931z5aashp-\u0661",
    ):
        assert LogPosition.parse(foreign) is None, foreign


def test_what_was_delivered_is_a_duplicate_and_what_is_foreign_never_is() -> None:
    cursor = Cursor()
    assert not cursor.is_duplicate(FIRST)
    cursor.jump(SECOND)
    assert cursor.is_duplicate(FIRST)
    assert cursor.is_duplicate(SECOND)
    assert not cursor.is_duplicate("mg931z5aashp-3")
    assert not cursor.is_duplicate(NEW_LIFE)
    cursor.jump("7")
    assert not cursor.is_duplicate("7")


def test_a_position_that_was_passed_does_not_take_the_cursor_back() -> None:
    cursor = Cursor(SECOND)
    cursor.pass_by(FIRST)
    assert cursor.id == SECOND
    cursor.pass_by(NEW_LIFE)
    assert cursor.id == NEW_LIFE


def test_a_gap_is_told_once_unless_it_is_another_one() -> None:
    cursor = Cursor()
    gap = Gap(SECOND, FIRST, SECOND, 2, "evicted")
    assert cursor.is_news(gap)
    cursor.jump("mg931z5aashp-5")
    assert not cursor.is_news(gap)
    assert cursor.is_news(Gap(SECOND, FIRST, SECOND, 3, "evicted"))


def test_an_id_that_no_header_may_carry_never_ends_the_stream() -> None:
    cursor = Cursor("7-1")
    for unsendable in ("a\x01b", "x" * 1_025, " 7", "7\x7f", "\ud800"):
        cursor.jump(unsendable)
        assert (cursor.id, cursor.resume) == (unsendable, "7-1")
    assert is_sendable("é☃")


def _asking(url: str = "http://home:1/s", **options: Any) -> Asking:
    return Asking(options_of(url, None, **options), Cursor("é7"), "stream", 0)


def _fields(request: Request) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.headers}


@pytest.mark.parametrize(
    ("location", "is_home"),
    [
        ("/other", True),
        ("http://HOME:1/other", True),
        ("http://elsewhere/", False),
        ("http://home:2/", False),
        ("https://home:1/", False),
        ("//elsewhere/x", False),
    ],
)
def test_tokens_and_the_applications_headers_go_to_its_own_origin_only(location: str, is_home: bool) -> None:
    asking = _asking(headers={"X-Key": "k", "Content-Type": "a/b", "Cookie": "c"})
    assert asking.redirect(307, location) is None
    fields = _fields(asking.request("Bearer t"))
    assert (fields.get("authorization") == "Bearer t") == is_home
    assert ("x-key" in fields, "cookie" in fields) == (is_home, is_home)
    assert fields["content-type"] == "a/b"
    assert fields["last-event-id"] == "é7"
    asking.restart()
    assert _fields(asking.request("Bearer t"))["authorization"] == "Bearer t"


def test_a_post_becomes_a_get_where_browsers_make_it_one() -> None:
    for status, expected in ((301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")):
        asking = _asking(method="POST", body="b", headers={"content-type": "a/b"})
        assert asking.redirect(status, "/x") is None
        request = asking.request(None)
        assert (request.method, request.body) == (expected, b"b" if expected == "POST" else None)
        assert ("content-type" in _fields(request)) == (expected == "POST")


@pytest.mark.parametrize(
    "location", [None, "", " ", "#x", "ftp://h/", "mailto:x", "http://", "http://u:p@h/", "a b"]
)
def test_a_redirect_that_leads_nowhere_is_an_error(location: str | None) -> None:
    error = _asking().redirect(301, location)
    assert error is not None
    assert not error.can_retry
    assert "u:p" not in str(error)


def test_a_loop_of_redirects_ends() -> None:
    asking = _asking()
    results = [asking.redirect(302, "/again") for _ in range(11)]
    assert results[:10] == [None] * 10
    assert "more than 10 redirects" in str(results[10])


def test_an_event_reads_its_json_and_a_gap_what_it_can() -> None:
    assert Event("1", "t", '{"n":[7]}').json() == {"n": [7]}
    with pytest.raises(ValueError, match="property name"):
        Event("1", "t", "{").json()
    assert Gap.read("1", "[" * 100_000).reason == "unreadable"
    assert Gap.of("1", {"reason": "lagged", "missed": True}).missed is None
