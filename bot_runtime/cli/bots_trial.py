"""`tradingbot bots trial`: is there somebody who runs bots? One is put into the table, trades on paper, and is removed.

What `helm test` runs. It knows nothing but the database, and touches no bot but its own.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import Annotated, TextIO

import typer
from sqlalchemy import func, select

from bot_core.models.bot import BotStatus, desired_state
from bot_core.models.errors import TradingBotError
from bot_core.models.halt import halt_of
from bot_core.schema import bots as bots_table
from bot_core.schema import trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.removal import remove_bot, remove_traces
from bot_runtime.cli.connection import with_bots
from bot_runtime.samples import trial_document
from bot_runtime.system.stop_signals import on_stop_signals

#: `.invalid` belongs to nobody, so no message can ever arrive there.
TRIAL_USER = "trial@tradingbot.invalid"
LONGEST_SECONDS = 600.0
#: Time to stop, and for the lease of a process that was killed to lapse.
CLEANING_SECONDS = 75.0
_LOOK_SECONDS = 0.5
_ACTOR = "trial"


def register(bots: typer.Typer) -> None:
    bots.command("trial", help="Try who runs the bots: insert one on paper, see it trade, remove it.")(trial)


def trial(
    *,
    timeout: Annotated[
        float, typer.Option(min=1, max=LONGEST_SECONDS, metavar="SECONDS", help="How long it may take to a trade.")
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs, and what happens as errors.")] = False,
) -> int:
    """Exit 0 when the bot ran and closed a trade; its rows are removed in either case."""
    return with_bots(lambda store: _interruptible(lambda: _trial(store, timeout, as_json=json)))


async def _interruptible(work: Callable[[], Awaitable[int]]) -> int:
    """Cancel the work when the process is asked to end, so that it cleans up after itself."""
    task = asyncio.ensure_future(work())

    def cancel(_number: signal.Signals) -> None:
        task.cancel()

    on_stop_signals(cancel)
    try:
        return await task
    except asyncio.CancelledError:
        print("interrupted", file=sys.stderr)
        return 1


async def _trial(store: BotStore, seconds: float, *, as_json: bool) -> int:
    out = sys.stderr if as_json else sys.stdout
    user_id = await store.user(TRIAL_USER)
    for left in await _left_over(store.database, user_id):
        await _remove(store, left, user_id, out)
    bot_id = await store.insert(trial_document(), user_id)
    print(f"bot {bot_id} is in the table", flush=True, file=out)
    passed = False
    try:
        passed = await _seen_trading(store, bot_id, seconds, out)
    finally:
        removed = await _remove(store, bot_id, user_id, out)
    if as_json:
        print(dumps({"bot_id": bot_id, "passed": passed, "removed": removed}))
    return 0 if passed and removed else 1


async def _seen_trading(store: BotStore, bot_id: int, seconds: float, out: TextIO) -> bool:
    async def runs() -> bool:
        row = await store.get(bot_id)
        return row is not None and row.status == BotStatus.RUNNING

    async def traded() -> bool:
        query = select(func.count()).where(trades.c.bot_id == bot_id, trades.c.status == "closed")
        async with store.database.read() as connection:
            return bool(await connection.scalar(query))

    try:
        async with asyncio.timeout(seconds):
            await _until(runs)
            print(f"bot {bot_id} runs", flush=True, file=out)
            await _until(traded)
            print(f"bot {bot_id} has closed a trade", flush=True, file=out)
    except TimeoutError:
        print(f"bot {bot_id} closed no trade within {seconds:g} s: {await _reason(store, bot_id)}", file=sys.stderr)
        return False
    return True


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110  # of a table that another process writes
        await asyncio.sleep(_LOOK_SECONDS)


async def _reason(store: BotStore, bot_id: int) -> str:
    """What the row says of it."""
    row = await store.get(bot_id)
    if row is None:
        return "its row is gone"
    halt = halt_of(await HaltStore(store.database).active(), row.id, row.user_id)
    if halt is not None:
        return f"it is {halt}"
    if row.status == BotStatus.ENABLED:
        return "nobody has started it; does an operator or a service look after this database?"
    error = row.extra_metadata.get("last_error")
    return f"its status is {row.status}" + (f", {error}" if error else "")


async def _left_over(database: Database, user_id: int) -> list[int]:
    """Bots of trials that were killed; not one of a trial that runs beside this one."""
    before = datetime.now(UTC) - timedelta(seconds=LONGEST_SECONDS + 2 * CLEANING_SECONDS)
    query = select(bots_table.c.id).where(bots_table.c.user_id == user_id, bots_table.c.created_at < before)
    async with database.read() as connection:
        return [*await connection.scalars(query)]


async def _remove(store: BotStore, bot_id: int, user_id: int, out: TextIO) -> bool:
    """Stop the bot and delete its rows; False, with a sentence, when it could not be done in time."""
    why: TradingBotError | None = None

    async def gone() -> bool:
        nonlocal why
        try:
            row = await store.get(bot_id)
            if row is not None and desired_state(row).run:
                await store.request(bot_id, BotStatus.DISABLED)
            # It trades on paper: whatever it holds exists nowhere else.
            await remove_bot(store.database, bot_id, actor=_ACTOR, whatever_it_holds=True)
        except TradingBotError as error:
            why = error
            return False
        return True

    try:
        async with asyncio.timeout(CLEANING_SECONDS):
            await _until(gone)
    except TimeoutError:
        print(f"the bot of the trial stays: {why}", file=sys.stderr)
        return False
    await remove_traces(store.database, [bot_id], user_id)
    print(f"bot {bot_id} is removed", flush=True, file=out)
    return True
