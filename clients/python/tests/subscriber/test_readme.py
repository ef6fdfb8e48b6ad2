"""The blocks of the README run as they stand."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hub import HubProcess
from tests.kit.server import Server
from tests.kit.wait import eventually, soon

_README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
_PROJECT = (Path(__file__).resolve().parents[4] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks define, one after the other."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", _README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), defined)  # noqa: S102 - what is to be tested
    return defined


async def test_what_the_readme_publishes_its_subscribers_receive(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with HubProcess("--max-history-per-session", "2000") as hub:
        await names["publish"](hub.url)
        assert "-1 1000" in capsys.readouterr().out
        # The session has ended, and so do the loops.
        await soon(names["watch"](hub.url), "the loop ends")
        assert capsys.readouterr().out.splitlines()[0].startswith("42 ")
        stored = await soon(names["follow"](hub.url, "", None), "the loop ends")
        assert "closed" in capsys.readouterr().out
        assert isinstance(stored, str)
        names["tail"](hub.url)
        assert capsys.readouterr().out.count("Event(") == 10


async def test_an_answer_to_a_post_is_read_as_the_readme_has_it(names: dict[str, Any]) -> None:
    async with Server() as server:
        asking = asyncio.ensure_future(names["reply"](f"{server.url}/chat", "{}"))
        peer = await server.accept()
        assert (peer.method, peer.body) == ("POST", b"{}")
        await peer.stream("data: a\n\ndata: b\n\n")
        peer.hang_up()
        assert await soon(asking, "the answer ends") == "ab"
        await eventually(lambda: server.open() == 0, "the connection is given back")


def test_the_token_of_the_readme_is_one(names: dict[str, Any]) -> None:
    assert names["token"].count(".") == 2


async def test_what_the_projects_readme_publishes_it_watches(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", _PROJECT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - what is to be tested
    with HubProcess() as hub:
        watching = asyncio.ensure_future(names["watch"](hub.url))
        await eventually(lambda: hub.subscribers() == 1, "somebody watches")
        await soon(names["sell"](hub.url), "it is published")
        await eventually(lambda: "'{\"eur\":42}'" in capsys.readouterr().out, "it is printed")
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
