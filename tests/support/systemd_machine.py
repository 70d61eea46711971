"""A machine with a real systemd, in namespaces of this one: booted, talked to, rebooted, and gone without a trace."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[2]
_SCRIPT = Path(__file__).with_name("machine_init.sh")
_CGROUPS = Path("/sys/fs/cgroup")
_PROGRAMS = ("systemd-nspawn", "systemctl", "unshare", "nsenter", "setpriv")
_PATH = "/opt/tradingbot/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why_not() -> str | None:
    """Why this machine can't hold one; None where it can. Tried, not guessed: it boots nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a systemd in namespaces needs root on Linux"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} missing (Debian: apt-get install systemd systemd-container)"
    if not _cgroup_parents():
        return f"no cgroup of version 2 below {_CGROUPS} that can be written"
    steps = (
        "mount -t tmpfs none /mnt",
        "mkdir /mnt/u /mnt/w /mnt/r /mnt/m",
        "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r",
        "test -x /mnt/r/lib/systemd/systemd",
        *(f"mount -t {kind} none /mnt/m" for kind in ("proc", "sysfs", "cgroup2")),
    )
    probe = " && ".join(steps)
    command = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "sh", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"namespaces or overlays are not allowed here: {done.stderr.strip()}" if done.returncode else None


def _cgroup_parents() -> list[Path]:
    """The hierarchies in which systemd keeps services: the one of version 2, and `systemd` beside it where there is."""
    found = [_CGROUPS / "unified", _CGROUPS / "systemd"] if (_CGROUPS / "unified").is_dir() else [_CGROUPS]
    usable = [path for path in found if _takes_groups(path)]
    return usable if usable and (usable[0] / "cgroup.controllers").exists() else []


def _takes_groups(parent: Path) -> bool:
    try:
        made = Path(tempfile.mkdtemp(prefix="tradingbot-probe-", dir=parent))
    except OSError:
        return False
    takes = (made / "cgroup.procs").exists()  # not so in a folder that is no hierarchy
    made.rmdir()
    return takes


class SystemdMachine:
    """`with SystemdMachine() as machine:` boots it. The project is at /opt/tradingbot, with its `tradingbot`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tradingbot-machine-"))
        self._cgroups = [parent / self._folder.name for parent in _cgroup_parents()]
        self._log = Path(f"{self._folder}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def traces(self) -> list[Path]:
        """What is on this machine because of it: nothing after `close`."""
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        mounted = [Path(line.split()[1]) for line in mounts if self._folder.name in line]
        return [path for path in (self._folder, self._log, *self._cgroups) if path.exists()] + mounted

    def boot(self) -> None:
        for cgroup in self._cgroups:
            cgroup.mkdir()
        command = ["unshare", "--mount", "--propagation", "private", "sh", _SCRIPT, self._folder, PROJECT]
        command += [sys.prefix, sys.base_prefix, *self._cgroups]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait_booted()

    def reboot(self) -> None:
        first = self._leader()
        self.run("systemctl", "reboot", "--no-block", check=False)
        wait_until(lambda: self._leader() not in {None, first}, 60, "the next boot", tell=self._log.read_text)
        self._wait_booted()

    def run(self, *words: str, check: bool = True, text: str | None = None, timeout: float = 60) -> str:
        """Run a command as root in there; its output."""
        leader = self._leader()
        assert leader is not None, self._log.read_text()
        enter = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        command = [*enter, "env", "-i", f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, input=text, timeout=timeout, cwd="/"
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "sh", path, text=text)

    def get(self, path: str, port: int = 8080) -> Any:
        """The JSON body of an address of the service in there; None while it does not answer."""
        code = (
            f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}{path}', timeout=5).read().decode())"
        )
        said = self.run("python", "-I", "-S", "-c", code, check=False)
        return json.loads(said) if said else None

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", unit, f"--property={name}", "--value", check=False).strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--quiet", f"--unit={unit}", "--output=cat", check=False)

    def close(self) -> None:
        """End every process in there, whatever state it is in, and remove what was made for it here."""
        for cgroup in self._cgroups:
            with suppress(OSError):
                (cgroup / "cgroup.kill").write_text("1")
            for pid in _members(cgroup):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        wait_until(lambda: not any(_members(cgroup) for cgroup in self._cgroups), 30, "the end of the machine")
        for cgroup in self._cgroups:
            for path in sorted(cgroup.rglob("*/"), key=lambda path: -len(path.parts)):
                path.rmdir()
            if cgroup.exists():
                cgroup.rmdir()
        shutil.rmtree(self._folder)
        self._log.unlink(missing_ok=True)

    def _leader(self) -> int | None:
        """The process that is number 1 in there."""
        with suppress(OSError, IndexError):
            procs = self._cgroups[0] / "payload" / "init.scope" / "cgroup.procs"
            return int(procs.read_text().split()[0])
        return None

    def _wait_booted(self) -> None:
        wait_until(self._booted, 60, "the boot", tell=self._log.read_text)

    def _booted(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"the machine did not boot:\n{self._log.read_text()}")
        if self._leader() is None:
            return False
        # `degraded` is a machine in which a unit that is not ours failed.
        return self.run("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}

    def __enter__(self) -> "SystemdMachine":
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _members(cgroup: Path) -> list[int]:
    found = [cgroup, *cgroup.rglob("*/")] if cgroup.exists() else []
    pids: list[int] = []
    for path in found:
        with suppress(OSError):
            pids += map(int, (path / "cgroup.procs").read_text().split())
    return pids
