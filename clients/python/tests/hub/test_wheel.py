"""The wheel: built by maturin, installed in a fresh environment, and used there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2]
PROGRAM = """
import asyncio, watertight_sse
from watertight_sse.hub import Broadcaster
async def main():
    async with Broadcaster() as broadcaster, broadcaster.subscribe("s") as queue:
        await broadcaster.broadcast("s", "from the wheel")
        print((await queue.get(timeout=5)).data)
asyncio.run(main())
print(watertight_sse.__file__)
"""


def maturin() -> list[str]:
    """The command; a test without it fails and says so."""
    beside = Path(sys.executable).with_name("maturin")
    found = str(beside) if beside.exists() else shutil.which("maturin")
    if found is None:
        pytest.fail("maturin is missing: pip install -r clients/python/requirements-dev.txt")
    return [found]


def test_the_wheel_can_be_installed_and_used_in_a_fresh_environment(tmp_path: Path) -> None:
    # The profile, the features and the folder of the development build: what is compiled is there already.
    build = [
        *maturin(),
        "build",
        "--profile",
        "dev",
        "--features",
        "testing",
        "--out",
        str(tmp_path),
        "--manifest-path",
        str(PACKAGE / "Cargo.toml"),
    ]
    subprocess.run([*build, "--interpreter", sys.executable], check=True, timeout=1500)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp310-abi3-" in wheel.name, "one wheel for all versions of Python"
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=120)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(
        [str(python), "-c", PROGRAM],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean,
    )
    said, file = ran.stdout.splitlines()
    assert said == "from the wheel"
    assert Path(file).is_relative_to(environment)
    installed = Path(file).parent
    assert (installed / "py.typed").exists()
    assert (installed / "_hub.pyi").exists()
