"""Reloaded: the module in a process, and the process by uvicorn."""

from __future__ import annotations

import http.client
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import watertight_sse.hub
from tests.kit.ports import free_port
from watertight_sse.hub import get_sse_broadcaster

from .ledger import assert_balanced

DEADLINE_SECONDS = 30.0


async def test_a_module_that_is_reloaded_keeps_the_broadcaster_of_the_process() -> None:
    before = get_sse_broadcaster()
    await before.start()
    async with before.subscribe("s") as queue:
        reloaded = importlib.reload(watertight_sse.hub)
        after = reloaded.get_sse_broadcaster()
        assert after is before
        await after.broadcast("s", "through both")
        assert (await queue.get(timeout=5)).data == "through both"
    assert_balanced(before)
    await before.stop()


APPLICATION = """
from seed_app import app, get_sse_broadcaster
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
VERSION = "{version}"
async def version(request: Request) -> PlainTextResponse:
    get_sse_broadcaster().broadcast_nowait("s", VERSION)
    return PlainTextResponse(VERSION)
app.routes.append(Route("/version", version))
"""


def test_uvicorn_reloads_an_application_with_open_streams_and_leaves_no_process(tmp_path: Path) -> None:
    module = tmp_path / "application.py"
    module.write_text(APPLICATION.format(version="one"))
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(port), "--reload"]
    command += ["--reload-dir", str(tmp_path), "--timeout-graceful-shutdown", "1", "--log-level", "warning"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    server = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
    )
    try:
        until_it_says("one", port)
        with socket.create_connection(("127.0.0.1", port), 10) as stream:
            stream.sendall(b"GET /sse/s HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert stream.recv(15) == b"HTTP/1.1 200 OK"
            until_it_says("one", port)
            until_it_says("two", port, lambda: module.write_text(APPLICATION.format(version="two")))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(DEADLINE_SECONDS)
    assert not is_anybody_left(server.pid), "a worker was left behind"


def until_it_says(version: str, port: int, change: Callable[[], object] | None = None) -> None:
    """Waits until the application answers with its version.

    ``change`` is made from time to time: uvicorn does not see one that comes before its first look. But only as long as it
    answers with the old version: seen while the new one starts, a change would begin that anew.
    """
    is_answered = True
    again_at = 0.0
    until = time.monotonic() + DEADLINE_SECONDS
    said = ""
    while said != version:
        assert time.monotonic() < until, f"it says {said!r}"
        if change is not None and is_answered and time.monotonic() > again_at:
            change()
            again_at = time.monotonic() + 4.0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/version")
            said = connection.getresponse().read().decode()
            is_answered = True
        except (OSError, http.client.HTTPException) as error:
            said = repr(error)
            is_answered = False
            time.sleep(0.05)
        finally:
            connection.close()


def is_anybody_left(group: int) -> bool:
    """Whether a process of this group still runs, a moment after its first has ended."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True
