"""A progress bar on standard error, where a person watches and rich is installed; else nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TypeAlias

#: Called with what is done, and of what total.
Advance: TypeAlias = Callable[[int, int], None]


@contextmanager
def progress_bar(text: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar for as long as the block lasts. Until the total is known it only moves."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield _unseen
        return
    from rich.console import Console  # noqa: PLC0415 - an extra, and needed on a terminal only
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance


def _unseen(_done: int, _total: int) -> None:
    """Nobody watches."""
