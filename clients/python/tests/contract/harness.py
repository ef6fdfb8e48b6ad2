"""A contract service as a process, and the streams and callbacks that it talks to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx

from tests.kit.server import Peer, Server
from tests.kit.wait import eventually, soon

SERVICE = Path(__file__).resolve().parents[2] / "contract" / "service.py"


def _are_closed(peers: list[Peer]) -> bool:
    return not any(peer.is_open for peer in peers)


class Client:
    """The other side of one subscription of the service: its requests and its reports."""

    def __init__(self, stream_url: str) -> None:
        """Where its stream is."""
        self.stream_url = stream_url
        self.location = ""
        self.messages: list[dict[str, Any]] = []
        self.peers: list[Peer] = []
        self._seen = 0
        self._taken = 0

    async def message(self) -> dict[str, Any]:
        """The next report."""
        await eventually(lambda: len(self.messages) > self._seen, "a report comes")
        self._seen += 1
        return self.messages[self._seen - 1]

    async def told(self) -> list[str] | str:
        """The next report: an event as type, data and id, or the text of a comment."""
        message = await self.message()
        if message["kind"] == "comment":
            return cast("str", message["comment"])
        assert message["kind"] == "event", message
        event = message["event"]
        return [event["type"], event["data"], event["id"]]

    async def error(self) -> None:
        """The next report is an error."""
        message = await self.message()
        assert message["kind"] == "error", message
        assert message["error"] == message["comment"]

    async def peer(self) -> Peer:
        """The next request for the stream."""
        await eventually(lambda: len(self.peers) > self._taken, "a request for the stream comes")
        self._taken += 1
        return self.peers[self._taken - 1]

    async def comes_back(self) -> Peer:
        """The next request when it has lost its connection; what it says of that is passed over."""
        peer = await self.peer()
        while self._seen < len(self.messages) and self.messages[self._seen]["kind"] == "error":
            self._seen += 1
        return peer

    @property
    def unread(self) -> int:
        """Reports that no test has looked at."""
        return len(self.messages) - self._seen


class Harness:
    """Runs the service, and the server for its streams and callbacks."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.clients: list[Client] = []
        self._server = Server(self._serve)
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(timeout=20, trust_env=False)
        self._url = ""

    async def start(self, *args: str) -> None:
        """Starts the service, which says on its first line where it listens."""
        await self._server.start()
        environment = {**os.environ, "PORT": "0"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVICE), *args, env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        line = (await soon(self._process.stdout.readline(), "the service says where it listens")).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found is not None, line
        self._url = found[0]

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request to the service; a text is sent as it is, anything else as JSON."""
        url = path if path.startswith("http") else self._url + path
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return await self._http.request(method, url, content=content)

    async def client(self, **parameters: object) -> Client:
        """Has the service make a subscription."""
        number = len(self.clients)
        client = Client(f"{self._server.url}/stream/{number}")
        self.clients.append(client)
        answer = await self.call(
            "POST",
            "/",
            {
                "tag": "test",
                "streamUrl": client.stream_url,
                "callbackUrl": f"{self._server.url}/callback/{number}",
                "initialDelayMs": 0,
                **parameters,
            },
        )
        assert answer.status_code == 201, answer.text
        client.location = answer.headers["location"]
        return client

    async def end_clients(self) -> None:
        """All subscriptions are closed, and their URLs are gone."""
        for client in self.clients:
            location, client.location = client.location, ""
            if not location:
                continue
            assert (await self.call("DELETE", location)).status_code == 204
            assert (await self.call("DELETE", location)).status_code == 404
            await eventually(partial(_are_closed, client.peers), "its streams are closed")

    async def stop(self) -> int:
        """Asks the service to quit; gives its exit code."""
        answer = await self.call("DELETE", "/")
        assert answer.status_code == 204
        assert self._process is not None
        code = await soon(self._process.wait(), "the service ends")
        await self._http.aclose()
        await self._server.stop()
        return code

    def _serve(self, peer: Peer) -> None:
        _, kind, number, *rest = peer.path.split("/")
        client = self.clients[int(number)]
        if kind == "stream":
            client.peers.append(peer)
            return
        # Strictly in order: the next comes when the one before was taken.
        assert peer.method == "POST", peer.method
        if int(rest[0]) != len(client.messages) + 1:
            client.messages.append(
                {"kind": "error", "error": f"{rest[0]} came too early", "comment": "order"}
            )
        client.messages.append(json.loads(peer.body))
        answering = asyncio.ensure_future(peer.answer(202))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    _answering: set[asyncio.Task[None]] = set()  # noqa: RUF012 - tasks must be held somewhere while they run
