"""What benchmarks run in: a folder, a PostgreSQL server, the bot's own environment, and how thorough to be."""

import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import LEAST_RUNS
from benchmarks.report import PROJECT
from support.postgres import PostgresServer, find_postgres

_Size = TypeVar("_Size", int, float)


class NotInstalledError(Exception):
    """What a benchmark needs is not on this machine."""


@dataclass
class Context(AbstractContextManager["Context"]):
    """`quick` is a smoke: everything runs, once and small, and the figures mean nothing."""

    folder: Path
    quick: bool = False

    @property
    def runs(self) -> int:
        return 1 if self.quick else LEAST_RUNS

    @property
    def patience(self) -> float:
        """Seconds for which anything may be waited for before it counts as never."""
        return self.size(3600.0, 180.0)

    def size(self, thorough: _Size, smoke: _Size) -> _Size:
        return smoke if self.quick else thorough

    @cached_property
    def postgres(self) -> PostgresServer:
        return self._server(durable=False)

    @cached_property
    def durable_postgres(self) -> PostgresServer:
        """One that waits for the disk at each commit, as a server that is in use does."""
        return self._server(durable=True)

    def _server(self, *, durable: bool) -> PostgresServer:
        programs = find_postgres()
        if programs is None:
            raise NotInstalledError("no PostgreSQL server is installed (Debian's package: postgresql)")
        server = PostgresServer(programs, durable=durable)
        server.start()
        return server

    def versions(self) -> tuple[tuple[str, str], ...]:
        """What the server says that it is, where there is one by now."""
        if "postgres" not in self.__dict__:
            return ()
        return (("PostgreSQL", str(self.postgres.execute("SHOW server_version")[0][0])),)

    @cached_property
    def bot_python(self) -> Path:
        """The interpreter of an environment with what the bot's image has, and nothing else; a smoke uses its own."""
        if self.quick:
            return Path(sys.executable)
        home = PROJECT / ".bench" / "bot"
        python = home / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--require-hashes", "-r", PROJECT / "requirements" / "bot.txt"], check=True)
        wheels = self.folder / "wheel"
        wheel = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
        subprocess.run([*wheel, "--wheel-dir", wheels, PROJECT], check=True)
        subprocess.run([*pip, "--no-deps", "--force-reinstall", *wheels.glob("*.whl")], check=True)
        return python

    def __exit__(self, *_: object) -> None:
        for name in ("postgres", "durable_postgres"):
            if name in self.__dict__:
                getattr(self, name).close()
