"""One reading for all who ask at the same time; never is an answer older than its question. It knows no table."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")
_CLOSE_SECONDS = 2.0


class Joint(Generic[_T]):
    """`read` is called for those who have asked so far; who asks from then on is answered by its next call."""

    def __init__(self, read: Callable[[], Awaitable[_T]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[_T] | None = None
        self._under_way: set[asyncio.Task[_T]] = set()

    async def ask(self) -> _T:
        """The answer of a reading that begins after this question, or its error."""
        if self._next is None:
            self._next = asyncio.create_task(self._answer())
            self._under_way.add(self._next)
            self._next.add_done_callback(self._done)
        return await asyncio.shield(self._next)

    async def aclose(self) -> None:
        """Let go of what is being read for those who no longer wait, before its connections are closed."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _answer(self) -> _T:
        async with self._turn:
            self._next = None  # whoever asks from now on asks for the next reading
            return await self._read()

    def _done(self, task: "asyncio.Task[_T]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever asked, if they still wait
