"""What reading a document found: problems, which stop the bot, and notices, which don't. Never shows a secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SECRET = re.compile(r"api_?key|secret|token|passw|passphrase|credential|authorization|private_?key", re.IGNORECASE)
#: Names a Secret and is none, where what stands there is such a name and no key that somebody pasted.
_NO_SECRET = frozenset({"credentials_secret"})
_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 253
#: Keys that would do as names: long runs of letters and digits mixed, in words of nobody, and UUIDs.
_KEY_LIKE = re.compile(r"(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{20,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_VALUE = 80
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Problem:
    """`message` goes on after the value: "is not …; allowed: …". A value of None means that there is none to show."""

    path: str
    value: Any
    message: str

    def __str__(self) -> str:
        value = "" if self.value is None else f"{shown(self.path, self.value)} "
        return printable(f"{self.path}: {value}{self.message}")

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the document's owner should know and that stops nothing."""

    path: str
    message: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.message}")


def printable(text: str) -> str:
    """Escape what a terminal or a text column would refuse, such as half a surrogate pair in a key."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(path: str, value: Any) -> str:
    """Write a value as a message may show it: short, and hidden where its name looks like that of a secret."""
    text = repr(redacted(path.rpartition(".")[2], value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def looks_secret(name: str) -> bool:
    """Whether a key of this name holds something that must not be shown."""
    return bool(_SECRET.search(name)) and name not in _NO_SECRET


def redacted(name: str, value: Any) -> Any:
    """The value as it may be shown under this name: secrets inside it are hidden, however deep."""
    if looks_secret(name) or (name in _NO_SECRET and value is not None and not _names_secret(value)):
        return _HIDDEN
    if isinstance(value, Mapping):
        return {key: redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(name, item) for item in value]
    return value


def _names_secret(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not _SECRET_NAME.fullmatch(value):
        return False
    return not any(_KEY_LIKE.fullmatch(part) for part in (value, *re.split(r"[-.]", value)))
