"""What bytes of an event stream mean: the table that three languages share, however a stream is cut; and bounds."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from tests.kit.cases import bytes_of, hear, load, meaning
from tests.kit.dice import dice as dice_of
from watertight_sse._errors import EventTooLargeError
from watertight_sse._subscriber.parser import Comment, ParsedEvent, Parser, Position

_CASES = load("parser-cases.json")["cases"]
_ALL = pytest.mark.parametrize("case", _CASES, ids=lambda case: case["name"])
_SMALL = 100_000
"""A megabyte in single bytes would tell no more than a few kilobytes do."""


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@_ALL
def test_a_stream_means_what_the_shared_table_says_in_its_pieces_and_in_one(case: dict[str, Any]) -> None:
    chunks = [bytes_of(chunk) for chunk in case["chunks"]]
    assert hear(chunks, case.get("maxEventBytes")) == meaning(case)
    assert hear([b"".join(chunks)], case.get("maxEventBytes")) == meaning(case)


@_ALL
def test_it_means_the_same_cut_anywhere(case: dict[str, Any]) -> None:
    data = b"".join(bytes_of(chunk) for chunk in case["chunks"])
    limit, expected = case.get("maxEventBytes"), meaning(case)
    for size in (1, 2, 3, 1_021) if len(data) < _SMALL else (1_021,):
        assert hear(_pieces(data, size), limit) == expected, f"in pieces of {size}"
    for seed in range(50 if len(data) < _SMALL else 5):
        dice = dice_of(seed)
        cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 9)))
        chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert hear(chunks, limit) == expected, f"seed {seed}"


@_ALL
def test_it_means_the_same_without_anybody_for_the_comments(case: dict[str, Any]) -> None:
    data = b"".join(bytes_of(chunk) for chunk in case["chunks"])
    expected = replace(meaning(case), comments=[])
    for chunks in ([data], _pieces(data, 1_021)):
        assert hear(chunks, case.get("maxEventBytes"), comments=False) == expected


def test_random_streams_mean_the_same_cut_anywhere() -> None:
    words = [
        b"data",
        b"data:",
        b"data: x",
        b"id:",
        b"id: 7",
        b"event: e",
        b"retry: 5",
        b":c",
        b"foo:bar",
        b"\xef\xbb\xbf",
    ]
    ends = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"", b"\0", b"\xff", b"\xe2\x82", b" "]
    for seed in range(2_000):
        dice = dice_of(seed)
        data = b"".join(dice.choice(words) + dice.choice(ends) for _ in range(dice.randrange(1, 30)))
        whole = hear([data])
        for size in (1, 2, 5):
            assert hear(_pieces(data, size)) == whole, f"seed {seed} in pieces of {size}"


def test_an_id_without_data_is_a_position() -> None:
    parser = Parser()
    parser.feed(b"id: 7\n\ndata: x\n\n")
    assert [parser.next(), parser.next(), parser.next()] == [
        Position("7"),
        ParsedEvent("message", "x", "7", False),
        None,
    ]


def test_a_line_of_ten_megabytes_in_small_chunks_takes_linear_time() -> None:
    def seconds(megabytes: int) -> float:
        parser = Parser(max_event_bytes=20 * 1024 * 1024)
        began = time.process_time()
        parser.feed(b"data:")
        for _ in range(megabytes * 16_384):
            parser.next()
            parser.feed(b"x" * 64)
        parser.feed(b"\n\n")
        return time.process_time() - began

    small, large = seconds(1), seconds(10)
    # Ten times as much takes about ten times as long; quadratic would be a hundred.
    assert large < small * 40


def test_a_comment_without_an_end_is_passed_over_in_little_memory() -> None:
    for comments in (True, False):
        parser = Parser(comments=comments)
        chunk = b"x" * 65_536
        parser.feed(b":")
        parser.next()
        tracemalloc.start()
        for _ in range(1_000):
            parser.feed(chunk)
            parser.next()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 300_000, "64 MB went by"
        parser.feed(b"\n")
        assert (parser.next() is not None) == comments


def test_an_event_that_outgrows_the_limit_is_given_back_at_once_and_nothing_is_read_after_it() -> None:
    parser = Parser(max_event_bytes=1_000)
    parser.feed(b"data: small\n\n" + b"data: " + b"x" * 2_000 + b"\n\ndata: later\n\n")
    assert isinstance(parser.next(), ParsedEvent)
    for _ in range(2):
        with pytest.raises(EventTooLargeError, match="larger than 1000 bytes"):
            parser.next()
    parser.feed(b"data: later\n\n")
    with pytest.raises(EventTooLargeError):
        parser.next()


def test_blank_lines_are_nothing() -> None:
    parser = Parser()
    parser.feed(b"\n" * 1_000_000)
    assert parser.next() is None


def test_a_comment_is_told_as_it_stands() -> None:
    parser = Parser()
    parser.feed(b": two \n")
    assert parser.next() == Comment(" two ")
