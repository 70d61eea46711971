"""What kopf may remember on objects: nothing. There is no handler of changes, so nobody asks what has changed.

Its usual memory copies and compares each object at each event, which costs more than all that the handlers do.
"""

from collections.abc import Iterable
from typing import Any

import kopf


class NoMemory(kopf.DiffBaseStorage):
    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return {}

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Not reached: only handlers of changes store anything."""
