"""A bot with stops, limits, partial fills and limit entries trades as its backtest does, and so does one that dies."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot_core.models.config import parse_config
from bot_core.schema import trades
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_runtime.engine.backtest import BacktestResult
from bot_runtime.engine.document_backtest import backtest_document
from bot_runtime.feeds.registry import build_feed
from support.bots import a_document, an_instance, books, insert_bot, run_to_the_end, surroundings

BARS = 1200
STOPS = {"stop_loss_pct": 1.5, "trailing_stop": True, "trailing_stop_pct": 1.0, "trailing_stop_activation_pct": 0.5}
ROUGH = {"slippage_bps": 5, "partial_fill_probability": 0.4, "reject_probability": 0.2, "seed": 4}
CASES: dict[str, dict[str, Any]] = {
    "stops": {"risk_management": STOPS},
    "take profit and few trades a day": {"risk_management": {"take_profit_pct": 1.0, "max_daily_trades": 1}},
    "losses and exposure": {
        "risk_management": {"max_daily_loss": 20.0, "max_position_size": 700.0},
        "trading": {"max_exposure": 0.05, "max_drawdown_pct": 3.0},
    },
    "limit entries": {"trading": {"order_type": "limit"}, "risk_management": STOPS},
    "a rough venue": {"broker": {"simulation": ROUGH}, "risk_management": STOPS},
    "a slow venue": {"broker": {"simulation": {"latency_ms": 600_000}}, "risk_management": STOPS},
    "limit entries at a rough venue": {
        "broker": {"simulation": ROUGH},
        "trading": {"order_type": "limit"},
        "risk_management": STOPS,
    },
    "working hours": {
        "scheduling": {"enabled": True, "start_time": "09:00", "end_time": "17:00", "timezone": "Europe/Berlin"}
    },
}


def document_of(case: str) -> dict[str, Any]:
    changes = CASES[case]
    document = a_document(
        data={"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": BARS},
        **{name: value for name, value in changes.items() if name != "broker"},
    )
    document["broker"] |= changes.get("broker", {})
    return document


async def backtested(document: dict[str, Any]) -> BacktestResult:
    config = parse_config(document).config
    assert config is not None
    feed = build_feed(config.data.model_dump(exclude_none=True), config.symbol)
    bars = [bar async for bar in feed.bars(None)]
    return backtest_document(config, bars)


async def traded(url: str, bot_id: int) -> list[tuple[Any, ...]]:
    database = Database(url)
    columns = (trades.c.entry_time, trades.c.exit_time, trades.c.exit_reason, trades.c.size, trades.c.net_pnl)
    query = select(*columns).where(trades.c.bot_id == bot_id, trades.c.status == "closed").order_by(trades.c.id)
    try:
        async with database.read() as connection:
            return [tuple(row) for row in await connection.execute(query)]
    finally:
        await database.aclose()


@pytest.mark.parametrize("case", CASES)
async def test_a_bot_and_a_backtest_of_its_document_make_the_same_trades(case: str, sqlite_url: str) -> None:
    document = document_of(case)
    expected = await backtested(document)
    plain = await backtested(a_document(data=document["data"]))
    assert expected.trades
    assert [trade.exit_time for trade in expected.trades] != [t.exit_time for t in plain.trades], "the limits matter"
    database = Database(sqlite_url)
    bot_id = await insert_bot(database, document)
    await run_to_the_end(await an_instance(surroundings(database), bot_id), 120)
    await database.aclose()
    found = await traded(sqlite_url, bot_id)
    wanted = [
        (t.entry_time, t.exit_time, t.exit_reason, round(t.size, 8), round(t.net_pnl, 8)) for t in expected.trades
    ]
    assert found == wanted


@pytest.mark.slow
@pytest.mark.parametrize("case", ["stops", "limit entries", "limit entries at a rough venue"])
async def test_a_bot_that_dies_time_and_again_ends_as_if_it_had_not(case: str, tmp_path: Path) -> None:
    document = document_of(case)
    document["data"]["bars"] = 300
    results = []
    for name, steps in (("calm", [300]), ("dying", range(7, 301, 7))):
        url = f"sqlite:///{tmp_path / name}.db"
        upgrade(url)
        database = Database(url)
        bot_id = await insert_bot(database, document)
        for step in steps:
            await run_and_die(database, bot_id, step)
        await run_to_the_end(await an_instance(surroundings(database), bot_id), 60)
        found = await books(database, bot_id)
        # A stop that the venue refuses is tried once more by each new process.
        found["bot_orders"] = [row for row in found["bot_orders"] if row["filled_quantity"]]
        results.append(found)
        await database.aclose()
    calm, dying = results
    assert len(calm["trading_trades"]) > 5
    assert dying == calm


async def run_and_die(database: Database, bot_id: int, bars: int) -> None:
    """Run until so many bars are done in all, then be cancelled: nothing is drained or released."""
    import asyncio  # noqa: PLC0415

    around = surroundings(database)
    instance = await an_instance(around, bot_id)
    instance.start(lambda _id, _error: None)
    while not instance.done and instance.board.bars < bars and instance.board.message != "the data has ended":
        await asyncio.sleep(0)
    await instance.kill()
