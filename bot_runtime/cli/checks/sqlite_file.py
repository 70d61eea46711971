"""The file of a SQLite database: whether it can be written, how it is kept, and where. It opens it for reading only."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from bot_runtime.cli.checks.base import Case, Finding, failed, ok, skipped, warning

_MOUNTS = Path("/proc/self/mounts")
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs")
_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20


async def check_sqlite(case: Case) -> Sequence[Finding]:
    if not case.database.is_sqlite:
        return [skipped("the database is no SQLite file")]
    path = Path(case.database.url.database or ":memory:")
    findings, there = _file(path)
    if not there:
        return findings
    async with case.database.look() as connection:
        mode = str(await connection.scalar(text("PRAGMA journal_mode")))
    if mode != "wal":
        remedy = "Run `tradingbot db upgrade`, which turns on write-ahead logging: without it readers block writers."
        findings.append(warning(f"the journal mode is {mode}", remedy))
    return findings or [ok(f"{path} can be written, write-ahead logging, {_free(path)} free")]


def _file(path: Path) -> tuple[list[Finding], bool]:
    """What is wrong with the file and its place; whether there is one."""
    if not path.exists():
        return [
            failed(f"{path} is not there", "Run `tradingbot db upgrade`, or name the right file in DATABASE_URL.")
        ], False
    return [*_writable(path), *_place(path), *_room(path)], True


def _writable(path: Path) -> list[Finding]:
    lacking = [str(place) for place in (path, path.resolve().parent) if not os.access(place, os.W_OK)]
    if not lacking:
        return []
    return [
        failed(
            f"{' and '.join(lacking)} can't be written", "Give the user that runs the bots the right to write there."
        )
    ]


def _place(path: Path) -> list[Finding]:
    kind = filesystem_of(path.resolve())
    if kind not in _NETWORK:
        return []
    remedy = "Move it to a local disk, or use PostgreSQL: locks of SQLite do not hold on network file systems."
    return [failed(f"{path} lies on {kind}, a network file system", remedy)]


def filesystem_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that a path lies on; empty where that can't be known."""
    try:
        lines = [line.split(" ") for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    places = [(fields[1].replace("\\040", " "), fields[2]) for fields in lines]
    over = [(len(place), kind) for place, kind in places if path.is_relative_to(place)]
    # Of two at the same place the later one counts.
    return max(enumerate(over), key=lambda item: (item[1][0], item[0]), default=(0, (0, "")))[1][1]


def _room(path: Path) -> list[Finding]:
    free = shutil.disk_usage(path.resolve().parent).free
    remedy = "Make room: a database that can't grow stops every bot."
    if free < _TOO_LITTLE:
        return [failed(f"only {_free(path)} are free beside {path}", remedy)]
    return [warning(f"only {_free(path)} are free beside {path}", remedy)] if free < _LITTLE else []


def _free(path: Path) -> str:
    free = shutil.disk_usage(path.resolve().parent).free
    return f"{free / (1 << 30):.1f} GiB" if free >= _LITTLE else f"{free >> 20} MiB"
