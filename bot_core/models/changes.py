"""What differs between two documents, as people may read it: dotted paths, short values, never a secret. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.logs import masked
from bot_core.models.problem import looks_secret, printable, shown

_MOST = 20
_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """Values as text; `nothing` stands for a key that is not there."""

    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {self.old} -> {self.new}"


def document_changes(old: Any, new: Any) -> tuple[Change, ...]:
    """Every leaf that was added, removed or changed, in the order of the paths. A list is one leaf."""
    return tuple(sorted(_changes("", old, new), key=lambda change: change.path))


def summary(changes: tuple[Change, ...]) -> str:
    """The first changes in one text, and how many more there are."""
    text = "; ".join(map(str, changes[:_MOST]))
    return text if len(changes) <= _MOST else f"{text}; and {len(changes) - _MOST} more"


def values(changes: tuple[Change, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """The first changes as two objects of old and of new values by path, for `bot_events`."""
    told = changes[:_MOST]
    return {change.path: change.old for change in told}, {change.path: change.new for change in told}


def _changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    if _is_object(old, path) and _is_object(new, path):
        for key in {**old, **new}:
            below = f"{path}.{key}" if path else str(key)
            if key not in old:
                yield Change(printable(below), _NOTHING, _text(below, new[key]))
            elif key not in new:
                yield Change(printable(below), _text(below, old[key]), _NOTHING)
            else:
                yield from _changes(below, old[key], new[key])
    elif old != new or type(old) is not type(new):
        yield Change(printable(path or "document"), _text(path, old), _text(path, new))


def _is_object(value: Any, path: str) -> bool:
    """Whether to look inside; below a name that looks like a secret's nothing is shown."""
    return isinstance(value, Mapping) and not looks_secret(path.rpartition(".")[2])


def _text(path: str, value: Any) -> str:
    return printable(masked(shown(path, value)))
