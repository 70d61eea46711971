"""Who wrote which field of an object, read from its `managedFields`, and the patch that makes it ours alone.

Pure: no client, no clock, no I/O. Paths name fields and never hold a value of one.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bot_operator.manifests import Document
from bot_operator.naming import CONFIRM_SHRINK, MANAGER, RESUME_ROLLOUT

Path = tuple[str, ...]

#: What others may write into our objects: the Deployment controller's counter, and `kubectl rollout restart`, which
#: changes nothing of what runs (to remove its mark would restart the pod a second time), and what people tell us there.
TOLERATED: tuple[Path, ...] = (
    ("metadata", "annotations", "deployment.kubernetes.io/revision"),
    ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
    ("metadata", "annotations", CONFIRM_SHRINK),
    ("metadata", "annotations", RESUME_ROLLOUT),
)
#: The parts of `metadata` that are written by whoever writes the object, not by the API server.
_WRITTEN = ("labels", "annotations", "ownerReferences", "finalizers")
#: By what the items of a list are told apart; the items of any other list have no names.
KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",), "initContainers": ("name",), "env": ("name",), "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",), "volumeDevices": ("devicePath",), "volumes": ("name",),
    "imagePullSecrets": ("name",), "ownerReferences": ("uid",), "conditions": ("type",), "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}  # fmt: skip


class _Missing:
    """The value of a field that is not there; null is a value."""


MISSING = _Missing()


def told(path: Path) -> str:
    """A path as people read it: `spec.template.spec.containers[bot].image`."""
    parts = (
        f"[{part}]" if "." in part or "/" in part else part if part.startswith("[") else f".{part}" for part in path
    )
    return "".join(parts).removeprefix(".")


def find_item(items: Any, keys: Mapping[str, Any]) -> Any:
    """The item of a keyed list; MISSING where there is none."""
    if not isinstance(items, list):
        return MISSING
    return next((item for item in items if isinstance(item, Mapping) and _has_keys(item, keys)), MISSING)


def key_of(item: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: item.get(name, _DEFAULTS.get(name)) for name in names}


def key_segment(keys: Mapping[str, Any]) -> str:
    return f"[{'/'.join(str(value) for value in keys.values())}]"


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of `managedFields` is what we applied. An update under our name is none of it."""
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"


def entries(held: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((held.get("metadata") or {}).get("managedFields") or [])


def owned(held: Mapping[str, Any]) -> bool:
    """Whether anything but the status of this object was applied by us."""
    return any(is_ours(entry) and not entry.get("subresource") for entry in entries(held))


def added_fields(held: Mapping[str, Any], wanted: Mapping[str, Any], *, ours: bool) -> Iterator[Path]:
    """Fields that are not wanted and that somebody wrote: with `ours` we, without it anybody else.

    What the API server or an admission webhook filled in is nobody's. A list or mapping that is only ever written as
    a whole counts as added when somebody else wrote it, since it may hold more than we want.
    """
    for entry in entries(held):
        if is_ours(entry) == ours:
            yield from _unwanted(_fields(entry, wanted), wanted, held, (), ours=ours)


def foreign_paths(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> set[Path]:
    """Every field, wanted or not, that somebody else wrote."""
    return {
        path
        for entry in entries(held)
        if not is_ours(entry)
        for path in _leaves(_fields(entry, wanted), wanted, held, ())
    }


def restoring_patch(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Document]:
    """A JSON patch that leaves nothing in the object but what is wanted, tolerated, or filled in by the API server.

    It replaces as a whole, since half of a change may be no valid object: a probe has one handler, never two or none.
    The entries of other writers go with what they wrote. Based on a stale look, it is refused as a conflict.
    """
    meta = held.get("metadata") or {}
    patch: list[Document] = [_add("metadata", "resourceVersion", value=meta.get("resourceVersion", ""))]
    target = _with_tolerated(wanted, held)
    patch += [_add(part, value=target[part]) for part in ("spec", "status") if part in target]
    if "status" not in target:
        patch += [
            _add("metadata", part, value=target["metadata"][part]) for part in _WRITTEN if target["metadata"].get(part)
        ]
        gone = [part for part in _WRITTEN if meta.get(part) and not target["metadata"].get(part)]
        patch += [{"op": "remove", "path": f"/metadata/{part}"} for part in gone]
    return [*patch, _entries_patch(held, of_status="status" in target)]


def disowning_patch(held: Mapping[str, Any], *, of_status: bool) -> list[Document] | None:
    """Forget that the restoring patch was a write of its own: what we apply is left. None if it was none."""
    if len(_kept(held, of_status=of_status)) == len(entries(held)):
        return None
    version = (held.get("metadata") or {}).get("resourceVersion", "")
    return [_add("metadata", "resourceVersion", value=version), _entries_patch(held, of_status=of_status)]


def _entries_patch(held: Mapping[str, Any], *, of_status: bool) -> Document:
    # An empty list would leave them as they are; one empty entry clears them.
    return _add("metadata", "managedFields", value=_kept(held, of_status=of_status) or [{}])


def _kept(held: Mapping[str, Any], *, of_status: bool) -> list[Mapping[str, Any]]:
    """What we applied, and what was written by the other way: to the status, or beside it."""
    return [entry for entry in entries(held) if is_ours(entry) or (entry.get("subresource") == "status") != of_status]


def _with_tolerated(wanted: Mapping[str, Any], held: Mapping[str, Any]) -> Document:
    target: Document = copy.deepcopy(dict(wanted))
    for path in TOLERATED:
        value = _at(held, path)
        if value is not MISSING and path[0] in target:
            place = target
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = value
    return target


def _at(document: Any, path: Path) -> Any:
    for part in path:
        document = document.get(part, MISSING) if isinstance(document, Mapping) else MISSING
    return document


def _add(*path: str, value: Any) -> Document:
    return {"op": "add", "path": "/" + "/".join(path), "value": value}


def _fields(entry: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry within the parts that a manifest speaks of: its status is another's matter."""
    return {key: value for key, value in (entry.get("fieldsV1") or {}).items() if key.removeprefix("f:") in wanted}


def _unwanted(fields: Mapping[str, Any], wanted: Any, held: Any, path: Path, *, ours: bool) -> Iterator[Path]:
    for here, below, ask, found in _steps(fields, wanted, held, path):
        if ask is MISSING and any(item[: len(here)] == here for item in TOLERATED):
            ask = {}  # noqa: PLW2901  # only what is in it may be unwanted
        if ask is MISSING:
            yield here
        elif below:
            yield from _unwanted(below, ask, found, here, ours=ours)
        elif not ours and ask and isinstance(ask, (Mapping, list)):
            yield here


def _leaves(fields: Mapping[str, Any], wanted: Any, held: Any, path: Path) -> Iterator[Path]:
    for here, below, ask, found in _steps(fields, wanted, held, path):
        yield from _leaves(below, ask, found, here) if below else [here]


def _steps(fields: Mapping[str, Any], wanted: Any, held: Any, path: Path) -> Iterator[tuple[Path, Any, Any, Any]]:
    """One level down: path, fields below, what is wanted there and what is held. Only what is really there."""
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        match kind:
            case "f":
                here, (ask, found) = (*path, name), (_at(item, (name,)) for item in (wanted, held))
            case "k":
                keys = json.loads(name)
                here, (ask, found) = (*path, key_segment(keys)), (find_item(item, keys) for item in (wanted, held))
            case "v":
                value = json.loads(name)  # the value of a set: it stays out of the path
                here, (ask, found) = path, (_member(item, value) for item in (wanted, held))
            case _:
                continue
        if found is not MISSING and here not in TOLERATED:
            yield here, below, ask, found


def _member(items: Any, value: Any) -> Any:
    return value if isinstance(items, list) and value in items else MISSING


#: Part of a key, and filled in where it is not given.
_DEFAULTS = {"protocol": "TCP"}


def _has_keys(item: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    return all(item.get(name, _DEFAULTS.get(name)) == value for name, value in keys.items())
