"""Python programs that tests start: how they end is what is tested."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

DEADLINE_SECONDS = 30.0


def run(program: str, timeout: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
    """Runs the text as a program, with a deadline, in the mode in which Python tells of everything that it forgets."""
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", textwrap.dedent(program)]
    here = Path(__file__).parent
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=here, check=False)


def output(program: str, timeout: float = DEADLINE_SECONDS) -> str:
    """What it prints. It has to end by itself, well, and say nothing else."""
    ended = run(program, timeout)
    assert (ended.returncode, ended.stderr) == (0, ""), f"{ended.returncode}: {ended.stdout}\n{ended.stderr}"
    return ended.stdout
