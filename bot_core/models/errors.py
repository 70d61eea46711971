"""Errors by consequence: the type says what the program does next.

Adapters translate at their edge (`raise ... from error`). A message says what, where, which value and
what is allowed, and never holds a secret.
"""


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its type's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class TradingBotError(Exception):
    """The root of every error that this project raises on purpose."""


class InvalidBotError(TradingBotError):
    """The row can't run as it is: terminal until the row changes."""


class NotFlatError(InvalidBotError):
    """The configuration can be taken up only without a position and without an order."""


class TransientError(TradingBotError):
    """The world is not ready: back off and try again."""


class DatabaseUnavailableError(TransientError):
    """The database did not answer. Nothing is known about what was being written."""


class LeaseLostError(TransientError):
    """Another process holds the bot's lease: this one must not trade it any more."""


class RowGoneError(TransientError):
    """The bot's row is not there: nothing can be journaled, so nothing is sent until it is back."""


class FatalError(TradingBotError):
    """The process can't go on; its supervisor starts a new one."""


class SchemaMissingError(FatalError):
    """The database lacks tables: `tradingbot db upgrade` was not run."""
