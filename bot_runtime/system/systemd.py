"""The service in systemd: files written and removed, `systemctl` asked and told. What a unit says is in `unit.py`.

It overwrites and removes only files that carry its mark, and never data or the environment file.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot_core.models.errors import TradingBotError
from bot_runtime.system.unit import MARK, UnitOptions, build_environment, build_sysusers, build_unit

_BOOTED = Path("/run/systemd/system")
_MARK = MARK.partition(";")[0]
#: A drain may take TRADINGBOT_DRAIN_SECONDS, and longer where that was raised.
_SYSTEMCTL_SECONDS = 600
_SHOWN = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "MainPID", "NRestarts", "Result",
    "ActiveEnterTimestamp",
)  # fmt: skip


class ServiceError(TradingBotError):
    """The service can't be installed, removed or asked."""


@dataclass(frozen=True)
class Installed:
    """What `install` came to."""

    unit_file: Path
    environment_file: Path
    changed: bool
    started: bool


class SystemdService:
    """`root`: the folder of an image that is being built; None is this machine. `tell` gets a line for each step."""

    def __init__(self, options: UnitOptions, root: Path | None, tell: Callable[[str], None] = lambda _: None) -> None:
        self._options = options
        self._root = root
        self._tell = tell

    @property
    def runs_here(self) -> bool:
        return self._root is None and _BOOTED.is_dir()

    def path(self, absolute: str) -> Path:
        return (self._root or Path("/")) / absolute.lstrip("/")

    def install(self, *, now: bool, force: bool) -> Installed:
        """Write what is missing or differs, enable it at boot, start it if asked to. Safe to repeat."""
        self._need_root()
        unit_file, environment = self.path(self._options.unit_file), self.path(self._options.environment)
        self._refuse_foreign(unit_file, force=force)
        if now and not self.runs_here:
            raise ServiceError("--now needs a running systemd, which there is none of here; it starts at the next boot")
        self._make_user()
        self._make_environment(environment)
        changed = self._write(unit_file, build_unit(self._options))
        if self.runs_here:
            self._systemctl("daemon-reload")
        self._systemctl("enable", f"{self._options.name}.service")
        self._tell(f"{self._options.name} starts at boot")
        if now:
            self._systemctl("restart" if changed else "start", f"{self._options.name}.service")
            self._tell(f"{self._options.name} runs")
        return Installed(unit_file, environment, changed, started=now)

    def uninstall(self, *, force: bool) -> None:
        """Stop it, no longer start it at boot, remove the unit. Data, environment and user stay."""
        self._need_root()
        unit_file, sysusers = self.path(self._options.unit_file), self.path(self._options.sysusers_file)
        if not unit_file.exists():
            raise ServiceError(f"{unit_file} is not there: no service of this name is installed")
        self._refuse_foreign(unit_file, force=force)
        unit = f"{self._options.name}.service"
        self._systemctl("disable", *(["--now"] if self.runs_here else []), unit)
        unit_file.unlink()
        if sysusers.exists() and _is_ours(sysusers):
            sysusers.unlink()
        if self.runs_here:
            self._systemctl("daemon-reload")
            self._systemctl("reset-failed", unit, check=False)
        self._tell(f"{unit_file} is removed")

    def state(self) -> dict[str, str]:
        """Properties of the unit as systemd names them, such as `ActiveState`."""
        if not self.runs_here:
            raise ServiceError("systemd does not run here, so there is no service to ask about")
        shown = self._systemctl("show", f"{self._options.name}.service", f"--property={','.join(_SHOWN)}")
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def _need_root(self) -> None:
        if self._root is None and os.geteuid() != 0:
            raise ServiceError("a system service is root's to install and remove: run this again with sudo")

    def _refuse_foreign(self, path: Path, *, force: bool) -> None:
        if path.exists() and not force and not _is_ours(path):
            raise ServiceError(f"{path} was not written by this program; --force does it anyway, --name avoids it")

    def _make_user(self) -> None:
        """A system user without a shell and a password, unless there is one of that name."""
        if self._has_user():
            return
        written = self.path(self._options.sysusers_file)
        self._write(written, build_sysusers(self._options))
        if (program := shutil.which("systemd-sysusers")) is None:
            self._tell(f"user {self._options.user} is made at the next boot")
            return
        _run([program, *([f"--root={self._root}"] if self._root else []), str(written)])
        self._tell(f"user {self._options.user} is there")

    def _has_user(self) -> bool:
        if self._root is None:
            return _run(["getent", "passwd", self._options.user], check=False) != ""
        accounts = self.path("/etc/passwd")
        return accounts.exists() and f"\n{self._options.user}:" in f"\n{accounts.read_text(encoding='utf-8')}"

    def _make_environment(self, path: Path) -> None:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(build_environment(self._options))
        self._tell(f"{path} is written: what the service is told; look through it")

    def _write(self, path: Path, text: str) -> bool:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
        self._tell(f"{path} is written")
        return True

    def _systemctl(self, *words: str, check: bool = True) -> str:
        program = shutil.which("systemctl")
        if program is None:
            raise ServiceError("systemctl is not on this machine; --print shows the unit for other supervisors")
        where = [f"--root={self._root}"] if self._root else []
        return _run([program, "--no-pager", "--quiet", *where, *words], check=check)


def _is_ours(path: Path) -> bool:
    return path.read_text(encoding="utf-8", errors="replace").startswith(_MARK)


def _run(command: list[str], *, check: bool = True) -> str:
    done = subprocess.run(  # noqa: S603  # a program that was looked up, and words that were checked
        command, capture_output=True, text=True, check=False, timeout=_SYSTEMCTL_SECONDS
    )
    if check and done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ServiceError(f"`{' '.join(command)}` failed: {said}")
    return done.stdout
