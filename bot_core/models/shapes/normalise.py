"""One canonical document from any of the shapes that documents have had. Pure; it judges no values.

Each conversion is a notice. Paths of notices and problems are those of the original document.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.problem import Notice, Problem
from bot_core.models.shapes.draft import Draft
from bot_core.models.shapes.market import settle_broker, settle_data_source, settle_symbol
from bot_core.models.shapes.recognise import Shape, is_list_of_bots, recognise, why_no_bot
from bot_core.models.shapes.rest import drop_secrets, settle_notifications, settle_risk
from bot_core.models.shapes.strategy import settle_strategy
from bot_core.models.shapes.top_level import apply_overrides, lift_modules, move_to_sections, spell_ids

#: Deeper nesting has no meaning here, and would exhaust the stack of whoever walks it.
DEEPEST = 32
_LARGEST = 10**300
_STEPS = (
    lift_modules,
    apply_overrides,
    drop_secrets,
    move_to_sections,
    spell_ids,
    settle_symbol,
    settle_broker,
    settle_data_source,
    settle_strategy,
    settle_risk,
    settle_notifications,
)


@dataclass(frozen=True)
class Normalised:
    """`document` is canonical, or None where there is no bot in what was given: `problems` then say what it is."""

    document: Mapping[str, Any] | None
    shape: Shape | None
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]
    draft: Draft | None = None

    def at_origin(self, problem: Problem) -> Problem:
        """The problem with its path in the original document."""
        return problem if self.draft is None else Problem(self._origin(problem.path), problem.value, problem.message)

    def noted_at_origin(self, notice: Notice) -> Notice:
        return Notice(self._origin(notice.path), notice.message)

    def _origin(self, path: str) -> str:
        return path if self.draft is None else self.draft.origin(path)


def normalise(document: Any) -> Normalised:
    """Never raises, whatever it is given."""
    if not isinstance(document, Mapping):
        return _refused(Problem("config", document, f"is not a JSON object, or one nested more than {DEEPEST} deep"))
    if (path := too_deep(document)) is not None:
        return _refused(Problem(path, None, f"is nested more than {DEEPEST} deep"))
    if (path := too_large(document)) is not None:
        return _refused(Problem(path, None, "is too large a number; allowed: what a double can hold"))
    if (reason := why_no_bot(document)) is not None:
        return _refused(Problem(reason[0], None, reason[1]))
    draft = Draft(document)
    shape = recognise(document)
    for step in _STEPS:
        step(draft)
    return Normalised(draft.document, shape, tuple(draft.problems), tuple(draft.notices), draft)


def bot_documents(document: Any) -> list[Any]:
    """The bots of a file: those under `strategies[]` where it has them, else the document itself."""
    if isinstance(document, Mapping) and is_list_of_bots(document) and document["strategies"]:
        return list(document["strategies"])
    return [document]


def too_deep(document: Any) -> str | None:
    """The path of an object or list below the deepest level allowed, or None."""
    *_, level = _levels(document)
    return next((path for path, value in level if isinstance(value, (Mapping, list))), None)


def too_large(document: Any) -> str | None:
    """The path of a whole number that is no float any more, or None: arithmetic would raise on it."""
    numbers = ((path, value) for level in _levels(document) for path, value in level if isinstance(value, int))
    return next((path for path, value in numbers if abs(value) >= _LARGEST), None)


def _levels(document: Any) -> Iterator[list[tuple[str, Any]]]:
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(DEEPEST):
        yield level
        level = [pair for path, value in level for pair in _children(path, value)]
    yield level


def _children(path: str, value: Any) -> list[tuple[str, Any]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [(f"{path}.{key}".removeprefix("."), item) for key, item in items]


def _refused(problem: Problem) -> Normalised:
    return Normalised(None, None, (Problem(problem.path or "config", problem.value, problem.message),), ())
