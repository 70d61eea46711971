"""What the control group allows this process: memory and processor time, of version 1 and 2. Linux; else nothing.

Every group above counts as well, so the least of their limits is the answer. It reads files and changes nothing.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes that the process and its group may use; None where no limit is set."""
    found = [
        *(_whole(folder / "memory.max") for folder in _folders(root, "")),
        *(_whole(folder / "memory.limit_in_bytes") for folder in _folders(root, "memory")),
    ]
    # Version 1 writes "no limit" as a number beyond any memory.
    return min((limit for limit in found if limit is not None and limit < 2**60), default=None)


def cpu_limit(root: Path = _ROOT) -> float | None:
    """Processors that the group may use, such as 0.5; None where no limit is set."""
    found = [
        *(_share(_words(folder / "cpu.max")) for folder in _folders(root, "")),
        *(
            _share(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))
            for folder in _folders(root, "cpu")
        ),
    ]
    return min((limit for limit in found if limit is not None), default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Where the group of this process and those above it are: `controller` of version 1, or empty for version 2."""
    mounted = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controller not in controllers.split(","):
            continue
        base = mounted / controllers if controller and (mounted / controllers).is_dir() else mounted / controller
        group = PurePosixPath(path.lstrip("/"))
        yield from (base / part for part in (group, *group.parents))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _whole(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].isdecimal() else None


def _share(words: list[str]) -> float | None:
    """Quota over period; "max" and -1 mean that there is none."""
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:  # noqa: PLR2004
        return None
    return int(words[0]) / int(words[1])
