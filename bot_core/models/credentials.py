"""How the name of a Secret becomes the names of variables. Pure; both sides must agree on it, and it reads no value."""

import re

_STARTS_WITH_A_LETTER = re.compile(r"[A-Z]")


def variable_stem(secret: str) -> str:
    """What the variables of a Secret begin with, without the last `_`: BOT_KEYS for bot-keys, or for bot.keys."""
    return re.sub(r"[^A-Z0-9]+", "_", secret.upper()).strip("_")


def variable_prefix(secret: str) -> str:
    """The prefix under which a pod gets the keys of a Secret. Raises ValueError where it could begin no variable."""
    stem = variable_stem(secret)
    if not _STARTS_WITH_A_LETTER.match(stem):
        raise ValueError("begins with no letter, as the name of a variable must")
    return f"{stem}_"
