"""The hub's own accept loop in the process."""

from __future__ import annotations

import asyncio
import json
import mmap
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.kit.ports import free_port
from tests.kit.wait import PATIENCE
from watertight_sse.hub import Broadcaster, Server, get_sse_broadcaster, serve

from .ledger import assert_balanced, eventually_plain
from .sockets import StreamReader

SECRET = "a secret of more than thirty-two bytes, for tests"


@pytest.fixture
def broadcaster() -> Iterator[Broadcaster]:
    """One whose ledger is balanced once its sockets are closed."""
    with Broadcaster() as broadcaster:
        yield broadcaster
        if broadcaster.get_stats()["running"]:
            eventually_plain(lambda: live(broadcaster) == 0, "all connections are gone")
            assert_balanced(broadcaster)


def live(broadcaster: Broadcaster) -> int:
    """Connections and what is on them."""
    ledger = broadcaster.get_stats()["ledger"]
    return ledger["connection"]["live"] + ledger["request"]["live"] + ledger["subscription"]["live"]


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    """One request; its status and its text."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(url, data, {"connection": "close", **named})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_what_is_broadcast_reaches_readers_of_sockets_and_what_they_post_reaches_queues(
    broadcaster: Broadcaster,
) -> None:
    server = broadcaster.serve(port=0)
    with (
        StreamReader(server.addresses[0], "/sessions/s/events") as reader,
        broadcaster.subscribe("s") as queue,
    ):
        assert reader.status == 200
        published = broadcaster.broadcast_nowait("s", {"type": "tick", "data": {"n": 1}})
        assert f'id: {published}\nevent: tick\ndata: {{"n":1}}\n\n' in reader.read_until('{"n":1}\n\n')
        assert queue.get(timeout=10).id == published
        status, _ = ask(f"{server.url}/sessions/s/events", b"hello", content_type="text/plain")
        assert status == 202
        assert queue.get(timeout=10).data == "hello"
        reader.read_until("data: hello\n\n")


def test_a_reader_resumes_over_the_socket_what_python_published(broadcaster: Broadcaster) -> None:
    ids = broadcaster.broadcast_many_sync("s", ["a", "b", "c"])
    server = broadcaster.serve(port=0)
    with StreamReader(server.addresses[0], "/sessions/s/events", f"last-event-id: {ids[0]}") as reader:
        text = reader.read_until("data: c\n\n")
        assert "data: b\n\n" in text
        assert "data: a\n\n" not in text


def test_closing_tells_every_reader_and_the_port_is_free_again(broadcaster: Broadcaster) -> None:
    port = free_port()
    server = broadcaster.serve(port=port)
    with StreamReader(server.addresses[0], "/sessions/s/events") as reader:
        server.close()
        assert '"code":"SHUTTING_DOWN"' in reader.read_all()
    assert not broadcaster.get_stats()["running"]
    server.close()
    with broadcaster, broadcaster.serve(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        assert ask(f"{again.url}/health/live")[0] == 200


def test_a_reader_that_takes_nothing_delays_the_end_by_the_grace_at_most(broadcaster: Broadcaster) -> None:
    server = broadcaster.serve(port=0)
    with StreamReader(server.addresses[0], "/sessions/s/events") as stalled:
        for _ in range(200):
            broadcaster.broadcast_nowait("s", "x" * 100_000)
        begun = time.monotonic()
        server.close(grace=0.4)
        assert time.monotonic() - begun < 4.5, "not the 5 s of the default"
        with pytest.raises((ConnectionError, AssertionError)):
            stalled.read_until("SHUTTING_DOWN")


async def test_readers_of_the_loop_and_of_sockets_are_told_by_one_stop() -> None:
    broadcaster = Broadcaster()
    async with broadcaster.serve(port=0) as server:
        reader = await asyncio.to_thread(StreamReader, server.addresses[0], "/sessions/s/events")
        queue = await broadcaster.add_subscriber("s")
        reading = asyncio.create_task(queue.get(timeout=10))
        await asyncio.sleep(0)
        await broadcaster.stop()
        assert (await reading).json()["code"] == "SHUTTING_DOWN"
        assert '"code":"SHUTTING_DOWN"' in await asyncio.to_thread(reader.read_all)
        reader.socket.close()
        queue.close()


def token(subscribe: list[str], publish: list[str]) -> str:
    """A token of those that the hub's `docs/access.md` describes."""
    claims = {
        "sub": "ada",
        "exp": int(time.time()) + 60,
        "watertight": {"subscribe": subscribe, "publish": publish},
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")


def test_with_a_secret_only_those_with_a_token_come_in(broadcaster: Broadcaster) -> None:
    server = broadcaster.serve(port=0, token_secret=SECRET)
    with StreamReader(server.addresses[0], "/sessions/mine/events") as reader:
        assert reader.status == 401
    bearer = f"authorization: Bearer {token(['sessions/mine'], [])}"
    with StreamReader(server.addresses[0], "/sessions/theirs/events", bearer) as reader:
        assert reader.status == 403
    with StreamReader(server.addresses[0], "/sessions/mine/events", bearer) as reader:
        assert reader.status == 200
        broadcaster.broadcast_nowait("mine", "for ada")
        reader.read_until("data: for ada\n\n")
    status, text = ask(
        f"{server.url}/sessions/mine/events", b"x", content_type="text/plain", authorization=bearer[15:]
    )
    assert (status, json.loads(text)["code"]) == (403, "FORBIDDEN")


def test_pages_of_listed_origins_may_read(broadcaster: Broadcaster) -> None:
    server = broadcaster.serve(port=0, cors_origins=["https://app.example.com"])
    with StreamReader(server.addresses[0], "/sessions/s/events", "origin: https://app.example.com") as reader:
        assert "access-control-allow-origin: https://app.example.com\r\n" in reader.received
    with StreamReader(
        server.addresses[0], "/sessions/s/events", "origin: https://evil.example.com"
    ) as reader:
        assert "access-control-allow-origin" not in reader.received


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_queue_size": 5}, "max_queue_size is no setting of serve"),
    ({"tls_cert": "x"}, "tls_cert is no setting of serve"),
    ({"max_connections": 0}, 'max_connections = "0": too small'),
    ({"cors_origins": ["nonsense"]}, "cors_origins"),
    ({"host": "0.0.0.0"}, "insecure_open"),  # noqa: S104 (that it is refused is the test)
    ({"host": "localhost"}, 'listen = "localhost:0": not an IP address'),
    ({"port": 70_000}, "port = 70000"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_setting_that_makes_no_sense_is_named_with_what_would_do(
    broadcaster: Broadcaster, settings: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"port": 0, **settings}
    with pytest.raises(ValueError, match=said):
        broadcaster.serve(**given)
    assert broadcaster.serve(port=0).url.startswith("http://127.0.0.1:"), "it can be served all the same"


def test_a_secret_is_in_no_error(broadcaster: Broadcaster) -> None:
    with pytest.raises(ValueError, match="token_secret") as raised:
        broadcaster.serve(port=0, token_secret="short-secret", insecure_open=True)
    assert "short-secret" not in str(raised.value)


def test_a_port_that_is_taken_is_an_error_of_the_system(broadcaster: Broadcaster) -> None:
    server = broadcaster.serve(port=0)
    port = int(server.addresses[0].rsplit(":", 1)[1])
    with Broadcaster() as other, pytest.raises(OSError, match=str(port)):
        other.serve(port=port)
    with pytest.raises(RuntimeError, match="already"):
        broadcaster.serve(port=0)


def test_a_unix_socket_is_served_and_removed(broadcaster: Broadcaster, tmp_path: Path) -> None:
    path = tmp_path / "hub"
    server: Server = broadcaster.serve(host=f"unix:{path}")
    assert server.url == f"unix:{path}"
    assert path.exists()
    server.close()
    assert not path.exists()


def test_serve_serves_the_broadcaster_of_the_process() -> None:
    broadcaster = get_sse_broadcaster()
    with broadcaster, serve(port=0) as server:
        broadcaster.broadcast_nowait("s", "x")
        with StreamReader(server.addresses[0], "/sessions/s/events?replay=all") as reader:
            reader.read_until("data: x\n\n")


TRIPS = 100
ROUND_TRIPS = """
    import mmap, sys, time, urllib.request
    address, file, folder, trips = sys.argv[1:]
    sys.path.insert(0, folder)
    from sockets import StreamReader
    with (
        open(file, "r+b") as opened,
        mmap.mmap(opened.fileno(), 2) as shared,
        StreamReader(address, "/sessions/s/events") as reader,
    ):
        print("ready", flush=True)
        until = time.monotonic() + 60
        while not shared[0] and time.monotonic() < until:
            time.sleep(0.001)
        for number in range(int(trips)):
            request = urllib.request.Request(f"http://{address}/sessions/s/events", str(number).encode(),
                                             {"content-type": "text/plain", "connection": "close"})
            urllib.request.urlopen(request, timeout=10).close()
            reader.read_until(f"data: {number}\\n\\n")
            shared[1] = number + 1
"""
"""``shared``: whether it may begin, and the round trips so far."""


def test_subscribers_of_sockets_never_wait_for_the_interpreter(
    broadcaster: Broadcaster, tmp_path: Path
) -> None:
    server = broadcaster.serve(port=0)
    file = tmp_path / "shared"
    file.write_bytes(bytes(2))
    arguments = [server.addresses[0], str(file), str(Path(__file__).parent), str(TRIPS)]
    command = [sys.executable, "-c", textwrap.dedent(ROUND_TRIPS), *arguments]
    before = sys.getswitchinterval()
    with (
        file.open("r+b") as opened,
        mmap.mmap(opened.fileno(), 2) as shared,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        # From here on this thread has the interpreter's lock, and gives it to nobody: whoever waits for it waits until this
        # has given up.
        sys.setswitchinterval(1000)
        try:
            until = time.monotonic() + PATIENCE
            shared[0] = 1
            while shared[1] < TRIPS and time.monotonic() < until:
                pass
            count = shared[1]
        finally:
            sys.setswitchinterval(before)
    assert count == TRIPS, "a reader waited for the interpreter"
