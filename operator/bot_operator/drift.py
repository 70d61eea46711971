"""How far an object of ours is from what we want it to be, field by field. Pure: no client, no clock, no I/O.

It tells an edit by somebody else, which is put back at once, from a change of our own that is still to be applied.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from bot_operator.manifests import Document
from bot_operator.naming import APPLIED_HASH, PLACEMENT, REVISION, TEMPLATE_HASH
from bot_operator.ownership import (
    KEYS,
    MISSING,
    Path,
    added_fields,
    find_item,
    foreign_paths,
    key_of,
    key_segment,
    owned,
    told,
)

TEMPLATE: Path = ("spec", "template")
_STAMP: Path = ("metadata", "annotations", APPLIED_HASH)
_TEMPLATE_STAMP: Path = ("metadata", "annotations", TEMPLATE_HASH)
#: Switches that the API drops when they are off; any other switch that is missing is not the same as off.
_OFF_IS_ABSENT = frozenset({"readOnly", "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty"})
_QUANTITIES = frozenset({"requests", "limits", "sizeLimit", "divisor"})
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


@dataclass(frozen=True)
class Drift:
    """Fields by who is behind it: `edited` by somebody else, `outdated` since we want something else by now."""

    edited: tuple[Path, ...] = ()
    outdated: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.edited or self.outdated)

    @property
    def edited_template(self) -> bool:
        """Whether the pod's own shape was edited, so that its pod has been made anew already."""
        return any(path[:2] == TEMPLATE for path in self.edited)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(told(path) for path in self.edited)


def find_drift(held: Mapping[str, Any], wanted: Document) -> Drift:
    """Compare an object as the API server holds it with its manifest: every wanted field, and what was added."""
    changed = list(dict.fromkeys(differences(wanted, held)))
    added = list(dict.fromkeys(added_fields(held, wanted, ours=False)))
    leftover = [path for path in added_fields(held, wanted, ours=True) if path not in added]
    if not owned(held):
        changed.append(("metadata", "managedFields"))  # whatever was added can't be told any more
    if not changed and not added and not leftover:
        return Drift()
    everything = tuple(dict.fromkeys([*changed, *added, *leftover]))
    # As we applied it last is as we want it now: whatever is different is an edit. So it is if nothing is but the mark.
    if _STAMP not in changed or everything == (_STAMP,):
        return Drift(edited=everything)
    theirs = foreign_paths(held, wanted)
    edited = tuple(path for path in everything if path in added or any(_related(path, other) for other in theirs))
    return Drift(edited, tuple(path for path in everything if path not in edited))


def foreign_status(held: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of the status that somebody else wrote and that are not what they should be."""
    wanted = {"status": status}
    theirs = foreign_paths(held, wanted)
    if not theirs:
        return ()
    changed = [path for path in differences(wanted, held) if any(_related(path, other) for other in theirs)]
    return tuple(told(path) for path in dict.fromkeys([*changed, *added_fields(held, wanted, ours=False)]))


def template_outdated(drift: Drift) -> bool:
    """Whether we want another pod than we last asked for. An edit of the pod, or of this mark, is no such wish."""
    return _TEMPLATE_STAMP in drift.outdated


def keeping_template(held: Mapping[str, Any], wanted: Document) -> Document:
    """The manifest with the pod that the object has: what puts back the rest and makes no pod anew."""
    annotations = wanted["metadata"]["annotations"] | {
        key: value for key in (TEMPLATE_HASH, APPLIED_HASH, PLACEMENT, REVISION)
        if (value := ((held.get("metadata") or {}).get("annotations") or {}).get(key)) is not None
    }  # fmt: skip
    return {
        **wanted,
        "metadata": {**wanted["metadata"], "annotations": annotations},
        "spec": {**wanted["spec"], "template": held["spec"]["template"]},
    }


def differences(wanted: Any, held: Any, path: Path = ()) -> Iterator[Path]:
    """The fields of `wanted` that `held` lacks or has otherwise; what `held` has beside is no difference."""
    match wanted:
        case Mapping() if isinstance(held, Mapping):
            for name, value in wanted.items():
                if name != "managedFields":
                    yield from differences(value, held.get(name, MISSING), (*path, name))
        case list() if isinstance(held, list):
            yield from _list_differences(wanted, held, path)
        case _:
            if not _same(wanted, held, path):
                yield path


def _list_differences(wanted: list[Any], held: list[Any], path: Path) -> Iterator[Path]:
    names = KEYS.get(path[-1])
    if names is None:
        alike = len(wanted) == len(held) and not any(
            True for ask, found in zip(wanted, held, strict=True) for _ in differences(ask, found, path)
        )
        if not alike:
            yield path
        return
    for item in wanted:
        keys = key_of(item, names)
        yield from differences(item, find_item(held, keys), (*path, key_segment(keys)))


def _same(wanted: Any, held: Any, path: Path) -> bool:
    if held is MISSING or held is None:
        if wanted is False:
            return path[-1] in _OFF_IS_ABSENT
        return wanted is None or wanted in ("", [], {})
    if wanted == held:
        return True
    return bool(_QUANTITIES.intersection(path[-2:])) and _quantity(wanted) == _quantity(held) is not None


def _quantity(value: Any) -> Decimal | None:
    """The number that a quantity such as 10m, 0.01 or 96Mi stands for; None where it is none."""
    text = str(value)
    digits = text.rstrip("numkMGTPEi") if not text[-1:].isdigit() else text
    try:
        return Decimal(digits) * _SUFFIXES.get(text[len(digits) :] or "-", Decimal(1))
    except InvalidOperation:
        return None


def _related(one: Path, other: Path) -> bool:
    """Whether one is the other or lies within it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
