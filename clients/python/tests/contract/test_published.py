"""The cases of the public SSE contract tests by their names. ``clients/CONTRACT.md`` lists them; those of the wire are a
table that the other clients' harnesses read, too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.harness import Client, Harness

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TABLE = json.loads(
    (Path(__file__).resolve().parents[3] / "cases" / "contract-cases.json").read_text(encoding="utf-8")
)


def _cut(data: bytes, piece: int | None) -> list[bytes]:
    return [data[at : at + piece] for at in range(0, len(data), piece)] if piece else [data]


async def _expect(client: Client, told: list[Any]) -> None:
    for expected in told:
        assert await client.told() == expected


async def _tells(harness: Harness, chunks: list[bytes], told: list[Any]) -> None:
    client = await harness.client()
    await (await client.peer()).trickle(*chunks)
    await _expect(client, told)
    assert client.unread == 0


@pytest.mark.parametrize("case", _TABLE["cases"], ids=lambda case: case["name"])
async def test_it_tells_what_the_table_says(harness: Harness, case: dict[str, Any]) -> None:
    chunks = [piece for chunk in case["chunks"] for piece in _cut(chunk.encode(), case.get("piece"))]
    await _tells(harness, chunks, case["told"])


@pytest.mark.parametrize("piece", [None, 1, 2], ids=["one chunk", "1-character chunks", "2-character chunks"])
@pytest.mark.parametrize("case", _TABLE["linefeeds"], ids=lambda case: case["name"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
async def test_linefeeds(harness: Harness, end: str, case: dict[str, Any], piece: int | None) -> None:
    wire = "".join(line + end for line in case["lines"])
    await _tells(harness, _cut(wire.encode(), piece), case["told"])


@pytest.mark.parametrize("size", _TABLE["payloads"])
async def test_payload_of_so_many_bytes_is_delivered_promptly(harness: Harness, size: int) -> None:
    client = await harness.client()
    await (await client.peer()).stream("data: " + "x" * size + "\n\n")
    await _expect(client, [["message", "x" * size, ""]])


async def test_messages_of_several_mib(harness: Harness) -> None:
    client = await harness.client()
    await (await client.peer()).stream("data: " + "x" * 5_000_000 + "\n\n", "data: y\n\n" * 100)
    await _expect(client, [["message", "x" * 5_000_000, ""], *[["message", "y", ""]] * 100])


async def test_default_method_and_headers(harness: Harness) -> None:
    peer = await (await harness.client()).peer()
    assert peer.method == "GET"
    assert peer.headers["accept"] == "text/event-stream"
    assert peer.headers["cache-control"] == "no-cache"
    assert "last-event-id" not in peer.headers


async def test_204_halts_reconnection_attempts(harness: Harness) -> None:
    client, other = await harness.client(), await harness.client()
    first = await (await client.peer()).stream("data: a\n\n")
    await _expect(client, [["message", "a", ""]])
    first.hang_up()
    await (await client.comes_back()).answer(204)
    # Another one comes back three times meanwhile, and so would this one.
    for turn in range(3):
        peer = await (await other.comes_back()).stream(f"data: {turn}\n\n")
        await _expect(other, [["message", str(turn), ""]])
        peer.hang_up()
    assert len(client.peers) == 2


@pytest.mark.parametrize("status", [301, 307])
async def test_client_follows_redirect(harness: Harness, status: int) -> None:
    client = await harness.client(headers={"x-name": "value"})
    await (await client.peer()).answer(status, {"location": f"{client.stream_url}/moved"})
    moved = await client.peer()
    assert moved.path.endswith("/moved")
    assert moved.headers["x-name"] == "value"
    await moved.stream("data: one\n\n")
    await _expect(client, [["message", "one", ""]])


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("headers", [{"location": ""}, {}], ids=["empty", "missing"])
async def test_client_handles_a_location_that_is_none(
    harness: Harness, headers: dict[str, str], status: int
) -> None:
    client = await harness.client()
    await (await client.peer()).answer(status, headers)
    await client.error()


async def test_custom_headers(harness: Harness) -> None:
    headers = {"header-name-1": "value-1", "header-name-2": "value-2"}
    peer = await (await harness.client(headers=headers)).peer()
    assert headers.items() <= peer.headers.items()


@pytest.mark.parametrize("method", ["POST", "REPORT"])
async def test_a_request_with_a_body_is_sent_again_when_reconnecting(harness: Harness, method: str) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    client = await harness.client(method=method, headers=headers, body='{"a": "b"}')
    first = await (await client.peer()).stream()
    first.hang_up()
    for peer in (first, await client.comes_back()):
        assert (peer.method, peer.body) == (method, b'{"a": "b"}')
        assert headers.items() <= peer.headers.items()


async def test_sends_last_event_id_in_initial_request_if_set(harness: Harness) -> None:
    peer = await (await harness.client(lastEventId="a")).peer()
    assert peer.headers["last-event-id"] == "a"


@pytest.mark.parametrize(
    ("wire", "told", "id"),
    [
        pytest.param(
            "id: a\ndata: 1\n\n", [["message", "1", "a"]], "a", id="sends ID of last received event"
        ),
        pytest.param(
            "id: a\ndata: 1\n\ndata: 2\n\n",
            [["message", "1", "a"], ["message", "2", "a"]],
            "a",
            id="sends ID of last received event that had an ID if later events did not",
        ),
        pytest.param(
            "id: a\ndata: 1\n\nid: \ndata: 2\n\n",
            [["message", "1", "a"], ["message", "2", ""]],
            None,
            id="last event ID can be explicitly overridden with an empty value",
        ),
        pytest.param(
            "id: a\ndata: 1\n\nid: b\ndata: 2",
            [["message", "1", "a"]],
            "a",
            id="discards partial messages on retry",
        ),
    ],
)
async def test_reconnection(harness: Harness, wire: str, told: list[Any], id: str | None) -> None:
    client = await harness.client()
    first = await client.peer()
    assert "last-event-id" not in first.headers
    await first.stream(wire)
    await _expect(client, told)
    first.hang_up()
    second = await client.comes_back()
    assert second.headers.get("last-event-id") == id
    await second.stream("data: again\n\n")
    await _expect(client, [["message", "again", id or ""]])


async def test_new_connection_established_after_breaking_previous_is_functional(harness: Harness) -> None:
    client = await harness.client()
    first = await (await client.peer()).stream("id: a\ndata: 1\n\n")
    await _expect(client, [["message", "1", "a"]])
    first.reset()
    await (await client.comes_back()).stream("id: b\ndata: 2\n\n")
    await _expect(client, [["message", "2", "b"]])


async def test_caller_can_trigger_a_restart_which_is_no_error(harness: Harness) -> None:
    client = await harness.client()
    first = await (await client.peer()).stream("id: 1\ndata: Hello\n\n")
    await _expect(client, [["message", "Hello", "1"]])
    assert (await harness.call("POST", client.location, {"command": "restart"})).status_code == 202
    second = await client.peer()
    assert second.headers["last-event-id"] == "1"
    await second.stream("data: Thanks\n\n")
    await _expect(client, [["message", "Thanks", "1"]])
    await first.closed()


async def test_can_set_read_timeout(harness: Harness) -> None:
    client = await harness.client(readTimeoutMs=500)
    first = await (await client.peer()).stream("data: Hello\n\n")
    await _expect(client, [["message", "Hello", ""]])
    await client.error()
    await (await client.peer()).stream("data: again\n\n")
    await _expect(client, [["message", "again", ""]])
    await first.closed()


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_an_error(harness: Harness, status: int) -> None:
    client = await harness.client()
    await (await client.peer()).answer(status)
    await client.error()


async def test_500_is_an_error_and_it_comes_back(harness: Harness) -> None:
    client = await harness.client()
    await (await client.peer()).answer(500)
    await client.error()
    await (await client.peer()).stream("data: Hello\n\n")
    await _expect(client, [["message", "Hello", ""]])


async def test_the_service_says_who_it_is_and_what_it_can_do(harness: Harness) -> None:
    answer = await harness.call("GET", "/")
    assert answer.status_code == 200
    assert answer.json()["name"] == "watertight-python"
    assert len(answer.json()["capabilities"]) == 10


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        "[]",
        {"streamUrl": "http://127.0.0.1:1/"},
        {"callbackUrl": "http://127.0.0.1:1/"},
        {"streamUrl": "http://127.0.0.1:1/", "callbackUrl": "http://127.0.0.1:1/", "initialDelayMs": "1"},
        {"streamUrl": "http://127.0.0.1:1/", "callbackUrl": "http://127.0.0.1:1/", "headers": {"a b": "c"}},
        {"streamUrl": "http://127.0.0.1:1/", "callbackUrl": "http://127.0.0.1:1/", "method": "NO METHOD"},
    ],
    ids=["no JSON", "nothing", "no object", "no callback", "no stream", "no delay", "no header", "no method"],
)
async def test_the_service_refuses_what_cannot_be(harness: Harness, body: object) -> None:
    assert (await harness.call("POST", "/", body)).status_code == 400


async def test_the_service_knows_no_other_command_and_no_other_stream(harness: Harness) -> None:
    client = await harness.client()
    assert (await harness.call("POST", client.location, {"command": "dance"})).status_code == 400
    assert (await harness.call("POST", "/streams/none", {"command": "restart"})).status_code == 404
    assert (await harness.call("DELETE", "/streams/none")).status_code == 404


async def test_the_service_takes_null_for_what_is_not_there(harness: Harness) -> None:
    client = await harness.client(readTimeoutMs=None, headers=None, method=None, body=None, lastEventId=None)
    peer = await asyncio.wait_for(client.peer(), 20)
    assert peer.method == "GET"
