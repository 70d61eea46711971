"""The libraries of live trading are an extra: a bot that needs one that is missing says so, and what to install."""

from collections.abc import Iterator
from contextlib import contextmanager

from bot_core.models.errors import InvalidBotError


@contextmanager
def needing_live(what: str) -> Iterator[None]:
    """Raise InvalidBotError for a library that can't be imported; `what` is the place in the document."""
    try:
        yield
    except ImportError as error:
        library = error.name or str(error)
        raise InvalidBotError(
            f"{what} needs {library}, which is in the extra `live`: pip install 'tradingbot-operator[live]'"
        ) from error
