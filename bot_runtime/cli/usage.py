"""What a command line must say and does not. Imports nothing, so that `tradingbot run` may know it too."""

from bot_core.models.errors import TradingBotError


class UsageError(TradingBotError):
    """The words can't be read: exit code 2. Anything that was asked for and can't be done is another error's."""


def require_one(**given: object) -> None:
    """Raise UsageError unless exactly one of these options was given."""
    told = [name for name, value in given.items() if value not in (None, False, [])]
    if len(told) != 1:
        names = ", ".join(f"--{name}" for name in given)
        raise UsageError(f"give exactly one of {names}; there are {len(told)}")
