"""The Python blocks of `docs/hub.md` run."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from watertight_sse.hub import Broadcaster, Server, get_sse_broadcaster

from .asgi import Request
from .ledger import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "hub.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
async def broadcaster() -> AsyncIterator[Broadcaster]:
    """The process's own."""
    broadcaster = get_sse_broadcaster()
    await broadcaster.start()
    yield broadcaster
    await broadcaster.stop()


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name, here."""
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("a secret of more than thirty-two bytes, for tests\n")


async def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    """Runs a block, in which `await` may stand; the names that it leaves."""
    code = compile(block, str(DOCUMENT), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)  # noqa: S307 (the project's own document)
    if inspect.isawaitable(running):
        await running
    return names


async def test_the_first_block_publishes_and_reads(
    broadcaster: Broadcaster, capsys: pytest.CaptureFixture[str]
) -> None:
    names = await run(BLOCKS[0], {"session_id": "s"})
    assert names["broadcaster"] is broadcaster
    assert capsys.readouterr().out.endswith(" progress {\"percent\":40} {'percent': 40}\n")


async def test_the_route_streams_and_resumes(broadcaster: Broadcaster) -> None:
    app = FastAPI()
    await run(BLOCKS[1], {"app": app, "broadcaster": broadcaster})
    first = await broadcaster.broadcast("s", "seen")
    await broadcaster.broadcast("s", "missed")
    request = Request(app, "/agents/s/events", {"last-event-id": first})
    head = await request.next()
    assert (head["status"], dict(head["headers"])[b"x-accel-buffering"]) == (200, b"no")
    assert f"id: {first}\n" in await request.text()
    assert (await request.text()).endswith("data: missed\n\n")
    await request.leave()
    await eventually(lambda: broadcaster.get_stats()["totalSubscribers"] == 0, "all was given back")


async def test_the_hub_is_served_as_it_says(broadcaster: Broadcaster, secret: None) -> None:
    names = await run(BLOCKS[2].replace("port=8080", "port=0"), {"broadcaster": broadcaster})
    server = names["server"]
    assert isinstance(server, Server)
    assert server.url.startswith("http://127.0.0.1:")
    assert len(BLOCKS) == 3, "a block without a test"
