"""One id for everything that a bot does under one tenure and one document: in log lines and in rows alike.

It is derived and not drawn, so that whoever has the row and the lease can tell it: `b7-3f2a91c0-e12` is bot 7 on the
document whose hash begins with 3f2a91c0, under the lease of epoch 12. It is bound into the context of the bot's task.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars

_HASH_LETTERS = 8


def correlation_id(bot_id: int, config_hash: str, epoch: int) -> str:
    """The id of a tenure on a document. Letters, digits and hyphens, at most 64."""
    return f"b{bot_id}-{config_hash[:_HASH_LETTERS]}-e{epoch}"


def bind_correlation(correlation: str) -> None:
    """Let every log line and event of this task from now on carry the id."""
    bind_contextvars(correlation_id=correlation)


@contextmanager
def about_bot(bot_id: int, correlation: str) -> Iterator[None]:
    """For as long as the block runs, log lines and events are of this bot; `correlation` is empty before a tenure."""
    bound = {"bot_id": bot_id} | ({"correlation_id": correlation} if correlation else {})
    with bound_contextvars(**bound):
        yield


def bound_correlation() -> str | None:
    """The id that this task runs under, or None outside of any tenure."""
    found = structlog.contextvars.get_contextvars().get("correlation_id")
    return found if isinstance(found, str) else None
