"""The documents that benchmarks run, and the rows that hold them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from support.bars import strategy_document
from support.bots import a_document

#: RSI and Bollinger bands to enter, ATR to leave: what the other frameworks are given as well.
RSI_BB_ATR: dict[str, dict[str, Any]] = {
    "entry_params": {"e_rsi_oversold": 30, "e_cooldown_bars": 5},
    "exit_params": {"x_sl_multiplier": 2.0},
}


def paper_bot(**data: Any) -> dict[str, Any]:
    """One symbol, bars of a minute, 500 of them kept."""
    generated = {"data_source": "generated", "interval": "1m", "seed": 5, "lookback_bars": 500}
    return a_document(data=generated | data, strategy=strategy_document(**RSI_BB_ATR))


async def insert_at_once(database: Database, documents: Iterable[Mapping[str, Any]]) -> None:
    """An enabled row for each document, all in one transaction."""
    user = await BotStore(database, actor="benchmark").user("trader@example.com")
    same = {"user_id": user, "status": "enabled", "error_count": 0, "created_at": datetime.now(UTC)}
    async with database.write() as connection:
        await connection.execute(insert(bots), [same | {"config": document} for document in documents])
