"""The real hub as a process."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast
from urllib.parse import quote

from tests.kit.ports import free_port
from tests.kit.wait import eventually_plain

_ROOT = Path(__file__).resolve().parents[4]
_START_SECONDS = 20.0


def hub_binary() -> str:
    """Where the hub is: ``WATERTIGHT_BIN``, or what ``cargo build`` has built. Fails if it is not there."""
    given = os.environ.get("WATERTIGHT_BIN")
    path = Path(given) if given else _ROOT / "target" / "debug" / "watertight"
    if not path.is_file():
        raise AssertionError(
            f"there is no hub at {path}: run `cargo build` in {_ROOT}, or set WATERTIGHT_BIN to a built `watertight`"
        )
    return str(path)


class HubProcess:
    """A hub of a test's own, on a free port. At the end of its ``with`` block nothing may be open at it.

    ``HubProcess("--token-secret", secret)`` passes settings on.
    """

    def __init__(self, *args: str, listen: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """``listen``: where it listens, such as ``unix:/...``; without it, a free port of 127.0.0.1. ``tls``: trusts the
        certificate that is among the settings."""
        self._tls = tls
        self._args = args
        self._listen = listen
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where it is, for a client; the same after a restart."""
        return self._listen or f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Its port; 0 at a Unix socket."""
        return self._port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._running().pid

    def use_token(self, token: str) -> None:
        """This object's own calls carry the token from now on."""
        self._headers = {"authorization": f"Bearer {token}"}

    def start(self) -> HubProcess:
        """Starts it, and returns once it listens."""
        listen = self._listen or f"127.0.0.1:{self._port or free_port()}"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("WATERTIGHT_")
        }
        process = subprocess.Popen(
            [hub_binary(), "serve", "--listen", listen, "--log-level", "warn", *self._args],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        output = cast("IO[str]", process.stdout)
        ready, _, _ = select.select([output], [], [], _START_SECONDS)
        line = output.readline().strip() if ready else ""
        said = re.fullmatch(r"watertight: listening on (?:https?://127\.0\.0\.1:(\d+)|\S*unix:\S+)", line)
        if said is None:
            process.kill()
            process.wait()
            output.close()
            raise AssertionError(f"the hub said {line!r}, and not where it listens")
        self._port = int(said[1] or 0)
        self._process = process
        # Nobody reads what it says further; a full pipe must not stop it.
        threading.Thread(target=_drain, args=(output,), daemon=True).start()
        return self

    def kill(self) -> None:
        """Ends it without a word, as a power cut would."""
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        """Asks it to end, which it does with a closing event to everyone."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """``kill``, and a new one at the same place."""
        self.kill()
        self.start()

    def stop_answering(self) -> None:
        """Stops the process (SIGSTOP): connections stay, and nothing comes any more. Its threads stop one by one: returns when
        the last has.
        """
        os.kill(self.pid, signal.SIGSTOP)
        eventually_plain(self._is_stopped, "all threads have stopped")

    def _is_stopped(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)

    def answer_again(self) -> None:
        """The opposite of ``stop_answering``."""
        os.kill(self.pid, signal.SIGCONT)

    def publish(self, session: str, texts: list[str], type: str = "message") -> list[str]:
        """Publishes texts as events of one type (they arrive as JSON texts), and gives their ids."""
        lines = "\n".join(json.dumps({"type": type, "data": text}) for text in texts)
        answer = self.call(
            "POST",
            f"/sessions/{quote(session, safe='')}/events",
            lines,
            {"content-type": "application/x-ndjson"},
        )
        return cast("list[str]", answer["ids"])

    def publish_text(self, session: str, text: str) -> str:
        """Publishes one text as it is, and gives its id."""
        path = f"/sessions/{quote(session, safe='')}/events"
        return cast("str", self.call("POST", path, text, {"content-type": "text/plain"})["id"])

    def end(self, session: str) -> None:
        """Ends a session."""
        self.call("POST", f"/sessions/{quote(session, safe='')}/end")

    def delete(self, session: str) -> None:
        """Deletes a session."""
        self.call("DELETE", f"/sessions/{quote(session, safe='')}")

    def stats(self) -> dict[str, Any]:
        """``GET /stats``."""
        return self.call("GET", "/stats")

    def open(self) -> int:
        """Streams, long-polls and other requests that are open, this question not counted."""
        if self._process is None:
            return 0
        ledger = self.stats()["ledger"]
        return int(sum(ledger[name]["live"] for name in ("request", "subscription", "source"))) - 1

    def subscribers(self) -> int:
        """Streams and long-polls that are open."""
        return int(self.stats()["ledger"]["subscription"]["live"])

    def call(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """One request; its answer's JSON. Fails if the hub refuses."""
        if self._tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=20, context=self._tls)
        try:
            data = body.encode() if body is not None else None
            connection.request(method, path, data, {**self._headers, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {text}")
        return cast("dict[str, Any]", json.loads(text)) if text else {}

    def __enter__(self) -> HubProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # A test that failed has its own complaint; and at a Unix socket nobody asks.
            if kind is None and self._process is not None and not self._listen:
                eventually_plain(lambda: self.open() == 0, "the hub's ledger is balanced")
        finally:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError("the hub does not run")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(_START_SECONDS)


def _drain(output: IO[str]) -> None:
    with output:
        for _ in output:
            pass
