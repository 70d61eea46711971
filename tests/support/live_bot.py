"""A live bot in this process at a stand-in exchange in this process, on a real database: quick, and all in reach.

Bars of one second stand at a price that the test sets, so that only what the test does makes anything happen.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, select

from bot_core.schema import events, messages, orders, positions, trades
from bot_core.store.database import Database
from bot_runtime.domain.bar import Bar
from bot_runtime.engine.bot_engine import Rhythm
from bot_runtime.feeds.binance_stream import URL_VARIABLE as STREAM_VARIABLE
from bot_runtime.venues.ccxt_client import URL_VARIABLE
from support.bots import insert_bot
from support.ccxt_bots import KEY_VARIABLES
from support.exchange.market_data import market_data_of
from support.exchange.server import Exchange
from support.exchange.venue import VenueOrder
from support.live_world import SYMBOL, a_live_document
from support.running import Running, running

#: Seconds between heartbeats, looks at orders, looks at a stop, and comparisons.
QUICK = Rhythm(beat_seconds=0.3, order_seconds=0.3, stop_seconds=0.3, compare_seconds=0.5)
_PAST, _FUTURE = 60, 400


class LiveBot:
    def __init__(self, exchange: Exchange, seen: Running, bot_id: int) -> None:
        self.exchange = exchange
        self.venue = exchange.venue
        self.seen = seen
        self.bot_id = bot_id
        self.database = seen.database

    @property
    def board(self) -> dict[str, Any]:
        board = self.seen.fleet.bots.get(self.bot_id)
        return {} if board is None else board.to_json()

    async def until(self, condition: Callable[[], Any], what: str, timeout: float = 25) -> Any:
        """Wait for a condition, which may be a coroutine function, and return what it gave."""
        found: Any = None

        async def holds() -> bool:
            nonlocal found
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            return bool(found)

        await self.seen.until(holds, what, timeout)
        return found

    def at_venue(
        self, side: str | None = None, *, kind: str | None = None, status: str | None = None
    ) -> list[VenueOrder]:
        """The bot's orders at the venue, oldest first."""
        mine = [order for order in self.venue.orders if order.client_id.startswith(f"tb{self.bot_id}-")]
        return [o for o in mine if side in {None, o.side} and kind in {None, o.type} and status in {None, o.status}]

    def resting_stops(self) -> list[VenueOrder]:
        return [order for order in self.at_venue("SELL", kind="STOP_LOSS") if order.open]

    async def rows(self, table: Table, **wanted: Any) -> list[dict[str, Any]]:
        query = select(table).order_by(*table.primary_key)
        if "bot_id" in table.c:
            query = query.where(table.c.bot_id == self.bot_id)
        async with self.database.read() as connection:
            found = [dict(row) for row in (await connection.execute(query)).mappings()]
        return [row for row in found if all(row[name] == value for name, value in wanted.items())]

    async def journal(self, **wanted: Any) -> list[dict[str, Any]]:
        return await self.rows(orders, **wanted)

    async def told(self, kind: str) -> list[str]:
        """The messages of the bot's events of one kind, oldest first."""
        return [row["message"] for row in await self.rows(events, kind=kind)]

    async def notified(self, text: str) -> int:
        """How many notifications hold a text."""
        return sum(text in row["content"]["message"] for row in await self.rows(messages))

    async def open_trades(self) -> list[dict[str, Any]]:
        return await self.rows(trades, status="open")

    async def closed_trades(self) -> list[dict[str, Any]]:
        return await self.rows(trades, status="closed")

    async def open_positions(self) -> list[dict[str, Any]]:
        return await self.rows(positions, status="open")

    async def running(self) -> None:
        await self.until(lambda: self.board.get("phase") == "running" and self.board["last_heartbeat"], "a running bot")

    async def in_position(self) -> None:
        await self.until(self.open_positions, "a position")

    async def protected(self) -> VenueOrder:
        """Wait for a position with a stop that is open in the journal as well; return the stop at the venue."""

        async def resting() -> bool:
            rows = await self.journal(purpose="protective", state="open")
            return bool(await self.open_positions() and rows and self.resting_stops())

        await self.until(resting, "a protected position")
        return self.resting_stops()[0]


def stand_at(exchange: Exchange, price: float, *, venue: float | None = None) -> None:
    """Let bars stand at a price from now on; the venue trades at another one where that is given."""
    data = market_data_of(exchange.venue)
    now = datetime.now(UTC).replace(microsecond=0)
    known = (SYMBOL, "1s") in data._scripts
    times = [now + timedelta(seconds=n) for n in range(0 if known else -_PAST, _FUTURE)]
    data.script(SYMBOL, "1s", [_bar(time, price) for time in times])
    data.moves_prices = venue is None
    exchange.venue.set_price(SYMBOL, Decimal(str(price if venue is None else venue)))


def _bar(time: datetime, price: float) -> Bar:
    """A bar that opens a little beside its close, as the rules need some movement; all close at the price."""
    return Bar(time, price, price + 1, price - 1, price, 10.0)


@asynccontextmanager
async def live_bot(
    url: str,
    environment: pytest.MonkeyPatch,
    *,
    price: float = 50_000,
    rhythm: Rhythm = QUICK,
    prepare: Callable[[Exchange], None] = lambda _: None,
    document: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[LiveBot]:
    """Start a bot that enters as soon as it can, and holds. `prepare` is called before it starts."""
    async with Exchange() as exchange:
        use_exchange(exchange, environment)
        stand_at(exchange, price)
        prepare(exchange)
        bot_id = await insert_live_bot(url, document or a_live_document(hold_bars=10_000))
        async with process_of(url, exchange, bot_id, rhythm=rhythm, **options) as bot:
            yield bot


@asynccontextmanager
async def process_of(
    url: str, exchange: Exchange, bot_id: int, *, rhythm: Rhythm = QUICK, **options: Any
) -> AsyncIterator[LiveBot]:
    """Run what a process runs that finds a bot in its tables."""
    async with running(url, around={"rhythm": rhythm}, **options) as seen:
        yield LiveBot(exchange, seen, bot_id)


def use_exchange(exchange: Exchange, environment: pytest.MonkeyPatch) -> None:
    for name, value in KEY_VARIABLES.items():
        environment.setenv(name, value)
    environment.setenv(URL_VARIABLE, exchange.url)
    environment.setenv(STREAM_VARIABLE, exchange.url.replace("http", "ws"))


async def insert_live_bot(url: str, document: dict[str, Any]) -> int:
    database = Database(url)
    try:
        return await insert_bot(database, document)
    finally:
        await database.aclose()
