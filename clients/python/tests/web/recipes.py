"""The recipes of the documents, as files and as processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from tests.kit.wait import eventually_plain

PACKAGE = Path(__file__).resolve().parents[2]


def write_recipe(name: str, folder: Path) -> list[str]:
    """Writes the Python blocks of a document to ``folder``. A block that begins with a file's name is that file; one that does
    not goes on with the one before. Returns the files' names.
    """
    text = (PACKAGE / "docs" / f"{name}.md").read_text()
    files: dict[str, str] = {}
    current = ""
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        named = re.match(r"# (\w+\.py)\n", block)
        current = named[1] if named else current
        assert current, "the first block names its file"
        files[current] = files.get(current, "") + ("\n\n" if current in files else "") + block
    for file, content in files.items():
        (folder / file).write_text(content)
    return list(files)


def environment(hub_url: str, folder: Path) -> dict[str, str]:
    """What a recipe reads."""
    return {
        **os.environ,
        "HUB_URL": hub_url,
        "HUB_SECRET_FILE": str(folder / "secret"),
        "PYTHONPATH": os.pathsep.join([str(PACKAGE / "src"), str(folder)]),
        "PYTHONWARNINGS": "error::ResourceWarning",
    }


def run_driver(hub_url: str, folder: Path, program: str) -> str:
    """Runs a program beside the recipe's files. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment(hub_url, folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Uvicorn:
    """``uvicorn MODULE:app`` as a process, on a free port."""

    def __init__(self, module: str, hub_url: str, folder: Path) -> None:
        """Starts it; `with` waits until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", "0"],
            cwd=folder,
            env=environment(hub_url, folder),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.url = ""
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM, as a supervisor does; its exit code. Fails if it does not end in time."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(seconds)
        # Its last lines may still be on their way.
        self._reader.join(seconds)
        return code

    def __enter__(self) -> Uvicorn:
        eventually_plain(
            lambda: bool(self.url) or self._process.poll() is not None, f"it listens: {self.lines}"
        )
        assert self.url, self.lines
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        with cast("IO[str]", self._process.stderr) as lines:
            for line in lines:
                self.lines.append(line)
                running = re.search(r"running on (http://\S+)", line)
                if running is not None:
                    self.url = running[1]


def memory_kb(pid: int) -> int:
    """Resident memory of a process, kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1])
