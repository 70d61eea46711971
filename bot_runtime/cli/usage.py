"""What a command line must say. Without typer, since `tradingbot run` reads ids too."""

from bot_core.models.errors import TradingBotError

_LARGEST_ID = 2**31 - 1  # what the column holds


class UsageError(TradingBotError):
    """The words can't be read: exit code 2. Anything that was asked for and can't be done is another error's."""


def require_one(**given: object) -> None:
    """Raise UsageError unless exactly one of these options was given."""
    told = [name for name, value in given.items() if value not in (None, False, [])]
    if len(told) != 1:
        names = ", ".join(f"--{name}" for name in given)
        raise UsageError(f"give exactly one of {names}; there are {len(told)}")


def read_id(text: str) -> int:
    """Raise UsageError for what can't be the id of a row."""
    if not (text.isascii() and text.isdecimal() and int(text[:99]) <= _LARGEST_ID):
        raise UsageError(f"{text!r} is no id; allowed: a whole number up to {_LARGEST_ID}")
    return int(text)
