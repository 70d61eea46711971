"""Whether the program can be seen by a service that has no home folders and a /tmp of its own."""

import sys
from collections.abc import Iterable
from pathlib import Path

import bot_core

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  # named, not used


def program_words() -> list[str]:
    """What starts `tradingbot` in this installation: its script, or the interpreter where there is none."""
    script = Path(sys.executable).parent / "tradingbot"
    return [str(script)] if script.exists() else [sys.executable, "-m", "bot_runtime"]


def program_paths() -> list[Path]:
    """Where this installation lies: the environment, the interpreter that it was made from, the packages."""
    return [Path(sys.prefix), Path(sys.base_prefix), Path(bot_core.__file__).parent]


def hidden_paths(paths: Iterable[Path]) -> list[Path]:
    """Those that ProtectHome and PrivateTmp take away."""
    return [path for path in paths if any(Path(place) in (path, *path.parents) for place in _HIDDEN)]
