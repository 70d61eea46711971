"""The cluster, its CRD and the images of this tree, shared by the processes that run tests side by side.

Whoever comes first makes them, whoever leaves last removes what was made; a lock on a file keeps the others waiting.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.cluster import Cluster, ImageSet, open_cluster
from support.release import CRD, install_crd


@dataclass
class SharedGround:
    folder: Path
    cluster: Cluster

    @classmethod
    def enter(cls, folder: Path) -> "SharedGround":
        """Find or start the cluster. Raises what `open_cluster` does."""
        with _noted(folder) as note:
            if not note.get("users"):
                found = open_cluster()
                crd_was_there = bool(found.get("crd", CRD))
                install_crd(found)
                note |= {"users": 0, "cluster": _as_json(found), "crd_was_there": crd_was_there}
            note["users"] += 1
            return cls(folder, _from_json(note["cluster"]))

    def images(self) -> ImageSet:
        """Those of this tree, built by whoever asks first."""
        with _noted(self.folder) as note:
            if "images" not in note:
                note["images"] = asdict(ImageSet.provide(self.cluster))
            return ImageSet(**note["images"])

    def leave(self) -> None:
        with _noted(self.folder) as note:
            note["users"] -= 1
            if note["users"]:
                return
            if "images" in note:
                ImageSet(**note.pop("images")).remove()
            if not note["crd_was_there"]:
                self.cluster.kubectl("delete", "crd", CRD, "--wait=false")
            self.cluster.end()


@contextmanager
def _noted(folder: Path) -> Iterator[dict[str, Any]]:
    """What the processes know of the ground; for one of them at a time, and written at the end."""
    file = folder / "ground.json"
    with (folder / "ground.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        try:
            yield note
        finally:
            file.write_text(json.dumps(note))


def _as_json(cluster: Cluster) -> dict[str, Any]:
    return asdict(cluster) | {"kubeconfig": str(cluster.kubeconfig)}


def _from_json(document: dict[str, Any]) -> Cluster:
    return Cluster(**document | {"kubeconfig": Path(document["kubeconfig"]), "stop": tuple(document["stop"])})
