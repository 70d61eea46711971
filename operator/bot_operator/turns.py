"""A long loop in short pieces. What else waits for the event loop, such as a renewal of the Lease, comes between."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

#: A renewal takes some ten turns of the loop, and has seconds for them.
PIECE_SECONDS = 0.02

T = TypeVar("T")


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; whoever loops over them may find the world changed from one to the next."""
    began = time.monotonic()
    for item in items:
        if time.monotonic() - began >= PIECE_SECONDS:
            await asyncio.sleep(0)
            began = time.monotonic()
        yield item
