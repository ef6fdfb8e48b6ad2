"""The service that the public SSE contract tests talk to: it runs subscriptions as it is told, and reports what
they hear.

``python clients/python/contract/service.py`` with the package installed; ``PORT`` says where it listens, default
8000. With ``--plain`` the subscriptions are those without asyncio.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, cast

import httpx

import watertight_sse
import watertight_sse.sync
from watertight_sse import ConnectionStatus, WatertightError

_BODY_MAX = 16 * 1024 * 1024
"""Longest body of a request, bytes."""
_EVENT_MAX = 16 * 1024 * 1024
"""Largest event, bytes: the contract has messages that are larger than a hub's."""
_CALLBACK_SECONDS = 20.0
_CAPABILITIES = [
    "bom",
    "comments",
    "headers",
    "last-event-id",
    "payload-size-stress-testable",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
]

Report = Callable[[dict[str, object]], None]


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    body: object = None
    location: str | None = None


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """An answer other than success."""

    def __init__(self, status: int, message: str) -> None:
        """``message`` is for people."""
        super().__init__(message)
        self.status = status


class Stream:
    """One subscription, and its reports: numbered from 1, each sent once the one before was taken."""

    def __init__(self, given: dict[str, Any], is_plain: bool) -> None:
        """Begins at once.

        Raises:
            Refusal: parameters that are not what they should be.
        """
        url, options = _options(given)
        self._callback = _text(given, "callbackUrl", is_needed=True).rstrip("/")
        self._reports: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        report = self._report_from_thread if is_plain else self._reports.put_nowait
        options["on_state"] = lambda status: _report_status(report, status)
        options["on_comment"] = lambda text: report({"kind": "comment", "comment": text})
        subscribe = watertight_sse.sync.subscribe if is_plain else watertight_sse.subscribe
        try:
            self._subscription = cast("Any", subscribe(url, **options))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        self._sending = asyncio.ensure_future(self._send())
        self._reading: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        if is_plain:
            self._thread = threading.Thread(target=_read_plain, args=(self._subscription, report))
            self._thread.start()
        else:
            self._reading = asyncio.ensure_future(_read(self._subscription, report))

    def command(self, command: object) -> None:
        """``restart`` is all there is."""
        if command != "restart":
            raise Refusal(400, f"there is no command {command}")
        self._subscription.restart()

    async def end(self) -> None:
        """Gives the connection back."""
        if self._thread is not None:
            await asyncio.to_thread(self._subscription.close)
            await asyncio.to_thread(self._thread.join)
        if self._reading is not None:
            await self._subscription.aclose()
            await asyncio.wait({self._reading})
        self._sending.cancel()
        await asyncio.wait({self._sending})

    def _report_from_thread(self, message: dict[str, object]) -> None:
        self._loop.call_soon_threadsafe(self._reports.put_nowait, message)

    async def _send(self) -> None:
        count = 0
        async with httpx.AsyncClient(timeout=_CALLBACK_SECONDS, trust_env=False) as client:
            while True:
                message = await self._reports.get()
                count += 1
                url = f"{self._callback}/{count}"
                try:
                    await client.post(url, content=json.dumps(message).encode())
                except httpx.HTTPError as error:
                    print(f"callback {url}: {type(error).__name__}", file=sys.stderr)


def _report_event(report: Report, item: watertight_sse.Event | watertight_sse.Gap) -> None:
    if isinstance(item, watertight_sse.Event):
        report({"kind": "event", "event": {"type": item.type, "data": item.data, "id": item.id}})


def _report_status(report: Report, status: ConnectionStatus) -> None:
    if status.error is not None:
        text = str(status.error)
        report({"kind": "error", "error": text, "comment": text})


async def _read(subscription: watertight_sse.Subscription, report: Report) -> None:
    try:
        async for item in subscription:
            _report_event(report, item)
    except WatertightError:
        # Its status has told of it.
        return


def _read_plain(subscription: watertight_sse.sync.Subscription, report: Report) -> None:
    try:
        for item in subscription:
            _report_event(report, item)
    except WatertightError:
        # Its status has told of it.
        return


def _options(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL, and the options of ``subscribe``; null counts as absent."""
    options: dict[str, Any] = {"on_end": "reconnect", "max_event_bytes": _EVENT_MAX}
    delay, timeout = _milliseconds(given, "initialDelayMs"), _milliseconds(given, "readTimeoutMs")
    if delay is not None:
        options["retry_base"] = max(delay / 1000, 0.001)
    if timeout is not None:
        options["read_timeout"] = max(timeout / 1000, 0.001)
    for name, option in (("lastEventId", "last_event_id"), ("method", "method"), ("body", "body")):
        value = _text(given, name)
        if value:
            options[option] = value
    headers = given.get("headers")
    if headers is not None:
        pairs = cast("dict[object, object]", headers).items() if isinstance(headers, dict) else None
        if pairs is None or not all(isinstance(value, str) for _, value in pairs):
            raise Refusal(400, "headers is not what it should be")
        options["headers"] = headers
    _text(given, "tag")
    return _text(given, "streamUrl", is_needed=True), options


def _text(given: dict[str, Any], name: str, *, is_needed: bool = False) -> str:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal(400, f"{name} is not what it should be")
    if is_needed and not (value and value.startswith("http")):
        raise Refusal(400, f"{name} is missing, or no URL")
    return value or ""


def _milliseconds(given: dict[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise Refusal(400, f"{name} is not what it should be")
    return float(value)


class Service:
    """The HTTP side."""

    def __init__(self, is_plain: bool) -> None:
        """``is_plain``: without asyncio."""
        self._is_plain = is_plain
        self._streams: dict[str, Stream] = {}
        self._count = 0
        self._over = asyncio.Event()

    async def run(self, port: int) -> None:
        """Serves until it is told to quit."""
        server = await asyncio.start_server(self._converse, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        print(f"contract service: listening on http://127.0.0.1:{port}", flush=True)
        await self._over.wait()
        server.close()
        for stream in self._streams.values():
            await stream.end()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, headers = _read_head(head)
            try:
                answer = await self._answer(method, path, headers, reader)
            except Refusal as refusal:
                answer = Answer(refusal.status, {"error": str(refusal)})
            body = b"" if answer.body is None else json.dumps(answer.body).encode()
            fields = {
                "content-type": "application/json",
                "connection": "close",
                "content-length": str(len(body)),
            }
            if answer.location is not None:
                fields["location"] = answer.location
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            writer.write(f"HTTP/1.1 {answer.status} Status\r\n{lines}\r\n".encode() + body)
            await writer.drain()
            if (method, path) == ("DELETE", "/"):
                self._over.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            # Who asked has gone.
            return
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], reader: asyncio.StreamReader
    ) -> Answer:
        if path == "/":
            if method == "GET":
                return Answer(200, {"name": "watertight-python", "capabilities": _CAPABILITIES})
            if method == "DELETE":
                return Answer(204)
            if method != "POST":
                raise Refusal(405, "not here")
            stream = Stream(await _read_json(headers, reader), self._is_plain)
            self._count += 1
            self._streams[f"/streams/{self._count}"] = stream
            return Answer(201, location=f"http://{headers.get('host', '')}/streams/{self._count}")
        found = self._streams.get(path)
        if found is None:
            raise Refusal(404, "there is no such stream")
        if method == "POST":
            found.command((await _read_json(headers, reader)).get("command"))
            return Answer(202)
        if method != "DELETE":
            raise Refusal(405, "not here")
        del self._streams[path]
        await found.end()
        return Answer(204)


def _read_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *fields = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (field.partition(":") for field in fields if field)
    return method, path, {name.lower(): value.strip() for name, _, value in pairs}


async def _read_json(headers: dict[str, str], reader: asyncio.StreamReader) -> dict[str, Any]:
    if "chunked" in headers.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    else:
        size = int(headers.get("content-length", "0"))
        if size > _BODY_MAX:
            raise Refusal(413, "the body is too long")
        body = await reader.readexactly(size)
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is no JSON object")
    return cast("dict[str, Any]", value)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if len(body) + size > _BODY_MAX:
            raise Refusal(413, "the body is too long")
        body += (await reader.readexactly(size + 2))[:size]
    await reader.readuntil(b"\r\n")
    return body


def main(run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run) -> None:
    """Runs until a request tells it to quit."""
    run(Service("--plain" in sys.argv[1:]).run(int(os.environ.get("PORT", "8000"))))


if __name__ == "__main__":
    main()
