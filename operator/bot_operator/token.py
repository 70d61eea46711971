"""The token of the pod's service account, which the kubelet replaces about once an hour. It sends nothing."""

import time
from collections.abc import Callable
from pathlib import Path

from kubernetes.aio.client.configuration import Configuration

#: Within this time after the file's change the old token is still good: it lives for minutes more.
_READ_EVERY = 10.0


class ServiceAccountToken:
    """`refresh` is called before each request; it reads the file now and then, and at once after `renewed`."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._text = ""
        self._read_at = float("-inf")

    def refresh(self, configuration: Configuration) -> None:
        if self._monotonic() - self._read_at >= _READ_EVERY:
            self._read()
        configuration.api_key["BearerToken"] = f"Bearer {self._text}"

    def renewed(self) -> bool:
        """Whether the file holds another token than the one that was refused."""
        before = self._text
        self._read()
        return self._text != before

    def _read(self) -> None:
        """A file that can't be read, or is empty while it is being replaced, leaves the token that there is."""
        try:
            self._text = self._path.read_text(encoding="utf-8").strip() or self._text
        except OSError:
            return
        self._read_at = self._monotonic()
