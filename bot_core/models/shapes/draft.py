"""A document while it is being rewritten: what is moved is reported, and remembers where it was written.

It never changes the document that it was given, and copies only the objects along the paths that it writes to.
"""

from collections.abc import Mapping
from typing import Any

from bot_core.models.problem import Notice, Problem

Path = tuple[str, ...]


class Draft:
    """Paths are tuples of keys; messages and problems name the path in the original document, joined by dots."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document: dict[str, Any] = dict(document)
        self.notices: list[Notice] = []
        self.problems: list[Problem] = []
        self._origins: dict[str, str] = {}

    def get(self, *path: str) -> Any:
        """The value, or None where there is none."""
        value: Any = self.document
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def section(self, *path: str) -> Mapping[str, Any]:
        """The object at a path; an empty one where there is none."""
        value = self.get(*path)
        return value if isinstance(value, Mapping) else {}

    def origin(self, path: str) -> str:
        """Where the value at a path of the canonical document stands in the original one."""
        known = path
        while known:
            if known in self._origins:
                return self._origins[known] + path[len(known) :]
            known = known.rpartition(".")[0]
        return path

    def note(self, path: Path, message: str) -> None:
        self.notices.append(Notice(self.origin(dotted(path)), message))

    def refuse(self, path: Path, value: Any, message: str) -> None:
        self.problems.append(Problem(self.origin(dotted(path)), value, message))

    def put(self, target: Path, value: Any, *, source: Path | None = None) -> bool:
        """Write a value; False where something on the way is no object. `source` is where it was written."""
        place = self._place(target[:-1])
        if place is None:
            return False
        origin = self.origin(dotted(source or target))
        place[target[-1]] = value
        self._origins[dotted(target)] = origin
        return True

    def drop(self, path: Path, why: str | None = None) -> Any:
        """Take a value out; returns it."""
        if why is not None:
            self.note(path, why)
        place = self._place(path[:-1])
        return None if place is None else place.pop(path[-1], None)

    def move(self, source: Path, target: Path) -> None:
        """Write a value where it belongs, unless another value is there: that one is read."""
        holder = self.section(*source[:-1])
        if source[-1] not in holder:
            return
        value, present = holder[source[-1]], self.get(*target)
        if present is not None:
            same = present == value
            self.drop(source, f"says the same as {dotted(target)}" if same else _not_read(target))
        elif self.put(target, value, source=source):
            self.drop(source, f"is read as {dotted(target)}")
        else:
            self.note(source, f"is not read: {dotted(target[:-1])} is not a JSON object")

    def _place(self, path: Path) -> dict[str, Any] | None:
        place = self.document
        for key in path:
            child = place.get(key)
            if child is not None and not isinstance(child, Mapping):
                return None
            place[key] = place = dict(child or {})
        return place


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _not_read(target: Path) -> str:
    return f"is not read: {dotted(target)} is there as well"
