"""What is refused before anything is sent, and what a line says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watertight_sse import Publisher
from watertight_sse._publisher._events import NewEvent, checked_key, line, line_of
from watertight_sse.sync import Publisher as PlainPublisher


def test_a_line_is_the_event_as_json_on_one_line() -> None:
    data = {"text": 'a\nb\r\u2028 "ü" 🚰', "n": [1, 2.5, None, True]}
    text = line(data, "token", 2.5)
    assert b"\n" not in text
    assert b"\r" not in text
    assert json.loads(text) == {"type": "token", "data": data, "ttl": 2.5}
    assert line("hello", None, None) == b'{"data":"hello"}'
    assert line(None, None, None) == b'{"data":null}'


@pytest.mark.parametrize("data", [float("nan"), float("inf"), "\ud800", {"x": ["\udfff"]}])
def test_data_that_is_no_json_text_is_refused_before_it_is_sent(data: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogate") as caught:
        line(data, None, None)
    assert "\\ud800" not in repr(caught.value)


def test_data_in_a_circle_is_refused_before_it_is_sent() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="circle"):
        line(circle, None, None)


def test_data_of_another_kind_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TypeError):
        line(object(), None, None)


@pytest.mark.parametrize("type", ["gap", "error", "a\nb", "\x00", "\x7f", "x" * 257, "ü" * 129])
def test_a_type_that_a_hub_refuses_is_refused_before_it_is_sent(type: str) -> None:
    with pytest.raises(ValueError, match="type"):
        line(1, type, None)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), True, 1e12])
def test_a_time_to_live_that_is_none_is_refused_before_it_is_sent(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        line(1, None, ttl)


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256, "a\n"])
def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        checked_key(key)


def test_an_item_of_a_source_is_an_event_or_data() -> None:
    assert line_of({"type": "x"}, "t", 1.0) == line({"type": "x"}, "t", 1.0)
    assert line_of(NewEvent(1), "t", 1.0) == line(1, "t", 1.0)
    assert line_of(NewEvent(1, "own", 2.0), "t", 1.0) == line(1, "own", 2.0)


@pytest.mark.parametrize("make", [Publisher, PlainPublisher])
@pytest.mark.parametrize(
    "options",
    [
        {"buffer_events": 0},
        {"buffer_bytes": 0},
        {"batch_events": 0},
        {"batch_events": 1001},
        {"in_flight_max": 0},
        {"request_timeout": 0},
        {"give_up_after": -1},
        {"close_timeout": float("nan")},
        {"when_full": "never"},
        {"token": "with blank"},
    ],
)
def test_a_setting_that_cannot_be_used_is_named(make: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make("http://127.0.0.1:1", **options)


@pytest.mark.parametrize("url", ["", "ftp://h", "http://u:secret@h", "http://h/?token=secret", "http:///x"])
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        Publisher(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("session", ["", ".", "..", "\ud800"])
async def test_a_session_that_no_path_can_carry_is_refused_before_it_is_sent(session: str) -> None:
    async with Publisher("http://127.0.0.1:1") as publisher:
        with pytest.raises(ValueError, match="session name"):
            await publisher.publish(session, 1)
        with pytest.raises(ValueError, match="session name"):
            await publisher.publish_many(session, [1])
    with PlainPublisher("http://127.0.0.1:1") as plain, pytest.raises(ValueError, match="session name"):
        plain.enqueue(session, 1)
