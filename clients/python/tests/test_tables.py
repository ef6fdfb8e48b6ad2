"""The tables of cases that the clients of all languages are held to: `clients/cases`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from watertight_sse.address import session_url
from watertight_sse.errors import EventTooLarge
from watertight_sse.events import Connecting, Event
from watertight_sse.fallback import Fallback, Next, Way
from watertight_sse.limits import MAX_EVENT_BYTES
from watertight_sse.parser import RETRY_BEYOND, Comment, Parser
from watertight_sse.plan import Plan

from .world import Answer, World, polled, status, stream

CASES = Path(__file__).parents[2] / "cases"


def table(name: str) -> Any:
    return json.loads((CASES / name).read_text(encoding="utf-8"))


PARSER: list[Any] = table("parser-cases.json")["cases"]
RECONNECT = table("reconnect-cases.json")
CONTRACT = table("contract-cases.json")


def by_name(rows: list[Any]) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in rows]


def to_bytes(text: Any) -> bytes:
    parts = [text] if isinstance(text, str) else text
    whole = b""
    for part in parts:
        if isinstance(part, str):
            whole += part.encode()
        elif "hex" in part:
            whole += bytes.fromhex(part["hex"])
        else:
            whole += part["repeat"].encode() * part["times"]
    return whole


def to_text(text: Any) -> str:
    return to_bytes(text).decode()


def hear(chunks: list[bytes], limit: int) -> dict[str, Any]:
    parser = Parser("", limit)
    events: list[Any] = []
    comments: list[str] = []
    retries: list[int] = []
    is_too_large = False
    try:
        for chunk in chunks:
            for parsed in parser.feed(chunk):
                if isinstance(parsed, Event):
                    events.append([parsed.type, parsed.data, parsed.id])
                elif isinstance(parsed, Comment):
                    comments.append(parsed.text)
                else:
                    retries.append(parsed.milliseconds)
    except EventTooLarge:
        is_too_large = True
    return {
        "events": events,
        "comments": comments,
        "retries": retries,
        "lastEventId": parser.last_event_id,
        "isTooLarge": is_too_large,
    }


def pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@pytest.mark.parametrize("row", by_name(PARSER))
def test_the_parser_agrees_with_the_table_however_a_stream_is_cut(row: Any) -> None:
    expected = {
        "events": [[to_text(part) for part in event] for event in row["events"]],
        "comments": [to_text(comment) for comment in row["comments"]],
        "retries": [RETRY_BEYOND if retry == "beyond" else retry for retry in row["retries"]],
        "lastEventId": to_text(row["lastEventId"]),
        "isTooLarge": row.get("isTooLarge", False),
    }
    limit = row.get("maxEventBytes", MAX_EVENT_BYTES)
    chunks = [to_bytes(chunk) for chunk in row["chunks"]]
    assert hear(chunks, limit) == expected
    whole = b"".join(chunks)
    assert hear([whole], limit) == expected
    for size in (1, 2, 3, 1021):
        assert hear(pieces(whole, size), limit) == expected, f"in pieces of {size}"


def test_no_row_of_the_tables_is_left_out() -> None:
    assert len(PARSER) >= 80
    assert len(RECONNECT["fallback"]) >= 10
    assert len(RECONNECT["refusals"]) >= 20
    assert len(CONTRACT["cases"]) >= 30


@pytest.mark.parametrize("row", by_name(RECONNECT["fallback"]))
def test_what_follows_an_attempt_is_what_the_table_says(row: Any) -> None:
    fallback = Fallback(enabled=row["isEnabled"])
    for number, step in enumerate(row["steps"]):
        now = step["at"] / 1000
        match step["happened"]:
            case "streamFailed":
                next = fallback.stream_failed(now, is_held_back=step["isHeldBack"], has_retry_after=step["hasRetryAfter"])
            case "streamWorked":
                next = fallback.stream_worked()
            case "pollAnswered":
                next = fallback.poll_answered(now)
            case "pollFailed":
                next = fallback.poll_failed()
            case other:
                assert other == "pollNotUnderstood"
                next = fallback.poll_not_understood(now)
        expected = (Next(Way(step["next"]), step["isAtOnce"]), step["isPolling"])
        assert (next, fallback.is_polling) == expected, f"step {number}"


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in RECONNECT["refusals"]])
def test_what_follows_a_refusal_is_what_the_table_says(row: Any) -> None:
    def token(refresh: bool) -> str:
        return "fresh" if refresh else "old"

    silent = [Answer(after=31.0)] * 3 if row["way"] == "poll" else []
    world = World([*silent, status(row["status"]), stream("data: x\n\n")], token=token if row["canRefresh"] else "fixed")
    error = world.subscribe()
    asked = world.requests[len(silent)]
    assert asked.headers["accept"] == ("application/json" if row["way"] == "poll" else "text/event-stream")
    follows = "again" if error is None else "failed"
    if error is None and True in world.asked:
        follows = "refresh"
    assert follows == row["follows"]


def told(chunks: list[bytes]) -> list[Any]:
    plan = Plan(url=session_url("http://hub.test", "demo"), hub=False, comments=True)
    world = World([stream(*chunks, mute=True)])
    assert world.subscribe(plan) is None
    heard = [item for item in world.told if isinstance(item, Event | Comment)]
    return [item.text if isinstance(item, Comment) else [item.type, item.data, item.id] for item in heard]


@pytest.mark.parametrize("row", by_name(CONTRACT["cases"]))
def test_a_stream_is_told_as_the_contract_cases_say(row: Any) -> None:
    chunks = [chunk.encode() for chunk in row["chunks"]]
    if "piece" in row:
        chunks = [piece for chunk in chunks for piece in pieces(chunk, row["piece"])]
    assert told(chunks) == row["told"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("row", by_name(CONTRACT["linefeeds"]))
def test_each_kind_of_line_end_is_one(row: Any, end: str) -> None:
    whole = "".join(line + end for line in row["lines"]).encode()
    for size in (len(whole), 1, 2):
        assert told(pieces(whole, size)) == row["told"], f"in pieces of {size}"


@pytest.mark.parametrize("size", CONTRACT["payloads"])
def test_a_payload_of_each_size_is_told_whole(size: int) -> None:
    assert told([f"data: {'x' * size}\n\n".encode()]) == [["message", "x" * size, ""]]


def test_the_first_attempt_is_the_first() -> None:
    world = World([stream("data: x\n\n")])
    assert world.subscribe() is None
    assert world.of(Connecting) == [Connecting(1), Connecting(1)]


def test_a_long_poll_that_is_answered_is_told_in_order() -> None:
    answer = polled('{"events":[{"id":"7","type":"t","data":"x"}],"next":"7","gap":null}')
    world = World([*[Answer(after=31.0)] * 3, answer])
    world.subscribe()
    assert world.of(Event) == [Event("t", "x", "7")]
