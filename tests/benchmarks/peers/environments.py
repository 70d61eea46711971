"""What the peers run in: an environment each, which `make bench-peers` makes from requirements/<peer>.txt."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.context import NotInstalledError
from benchmarks.report import PROJECT

PEERS = ("freqtrade", "nautilus_trader", "backtrader")
PROGRAMS = Path(__file__).with_name("programs")


def python_of(peer: str) -> Path:
    """Return the interpreter that has this peer. Raises NotInstalledError where there is none."""
    python = PROJECT / ".bench" / peer / "bin" / "python"
    if not (python.exists() and python.parents[1].joinpath(".installed").exists()):
        raise NotInstalledError(f"{peer} is not installed: `make bench-peers` does it")
    return python


def named(peer: str) -> str:
    """Return the peer with the version that is installed."""
    ask = f"import importlib.metadata; print(importlib.metadata.version({peer!r}))"
    told = subprocess.run([python_of(peer), "-c", ask], capture_output=True, text=True, check=True)
    return f"{peer} {told.stdout.strip()}"


def told_by(python: Path | str, program: str, *words: str | Path | int, home: Path) -> dict[str, Any]:
    """Return the figures of a program's last line. Raises AssertionError with its errors where it fails."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(python), str(PROGRAMS / program), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
    )
    assert done.returncode == 0, f"{program} failed: {done.stderr[-4000:]}"
    lines = done.stdout.splitlines()
    figures: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return figures
