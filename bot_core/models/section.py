"""What all sections of a document have in common: frozen, unknown keys kept, all problems found at once."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bot_core.models.problem import Notice, Problem

_SectionT = TypeVar("_SectionT", bound="Section")


class Section(BaseModel):
    """Keys that no field reads are kept as extras; those in `inert` are known to other programs and not reported."""

    model_config = ConfigDict(frozen=True, extra="allow")

    inert: ClassVar[frozenset[str]] = frozenset()


def parse_section(
    model: type[_SectionT], value: Any, path: str, problems: list[Problem], notices: list[Notice]
) -> _SectionT | None:
    """The section, or None where it has problems."""
    if not isinstance(value, Mapping):
        hint = ""
        if isinstance(value, str) and value.startswith(("instances/", "config/contracts/")):
            hint = "; it names a part file: write the file's content here"
        problems.append(Problem(path, value, f"is not a JSON object{hint}"))
        return None
    known = set(model.model_fields)
    notices += unknown_keys([key for key in value if key not in model.inert], known, path)
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        problems += [_problem(dict(item), path) for item in error.errors()]
        return None


def unknown_keys(keys: Iterable[str], known: Iterable[str], path: str = "") -> list[Notice]:
    """A notice for each key that is not known, with the nearest one that is."""
    names = sorted(known)
    found = []
    for key in sorted(str(key) for key in keys if key not in names):
        near = difflib.get_close_matches(key[:80], names, n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]}?" if near else ""
        found.append(Notice(f"{path}.{key}" if path else key, f"is not known here; kept, not read{hint}"))
    return found


def _problem(item: Mapping[str, Any], path: str) -> Problem:
    where = ".".join([path, *(str(part) for part in item["loc"])]).removesuffix(".[key]")
    if item["type"] == "missing":
        return Problem(where, None, "is missing")
    return Problem(where, item["input"] if item["loc"] else None, item["msg"].removeprefix("Value error, "))
