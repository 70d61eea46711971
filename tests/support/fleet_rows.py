"""A fleet in the tables, without a process that runs it: bots in every state that a view has to tell apart."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, update

from bot_core.models.halt import HaltScope
from bot_core.schema import bots, leases, orders, positions, state, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from support.bots import a_document


async def a_bot(
    database: Database, name: str, status: str = "running", *, beat: float | None = 1.0, **changes: Any
) -> int:
    """A row; `beat` is the age of its heartbeat in seconds; `metadata` and any part of the document may be given."""
    store = BotStore(database, actor="test")
    metadata = changes.pop("metadata", {})
    money = {key: Decimal(changes.pop(key)) for key in ("current_balance", "total_pnl") if key in changes}
    bot_id = await store.insert(a_document(name=name, **changes), await store.user("trader@example.com"))
    beaten = None if beat is None else datetime.now(UTC) - timedelta(seconds=beat)
    values = {"status": status, "last_heartbeat": beaten, "extra_metadata": metadata} | money
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
    return bot_id


async def a_position(database: Database, bot_id: int, quantity: str, price: str, *, last: str | None = None) -> None:
    """An open position, and the last price that its bot saved."""
    now = datetime.now(UTC)
    held = {"trade_type": "paper", "symbol": "ETHUSDT", "direction": "long", "status": "open", "opened_at": now}
    money = {"qty_open": Decimal(quantity), "avg_price": Decimal(price)}
    async with database.write() as connection:
        await connection.execute(insert(positions).values(bot_id=bot_id, **held, **money))
        account = {"cash": "1", "realized_pnl": "0", "position": None} | ({} if last is None else {"price": last})
        values = {"bot_id": bot_id, "cursor": now, "account": account, "updated_at": now}
        await connection.execute(insert(state).values(values))


async def a_trade(database: Database, bot_id: int, net: str, at: datetime) -> None:
    values = {
        "bot_id": bot_id, "trade_type": "paper", "entry_logic_name": "RSI", "exit_logic_name": "ATR", "interval": "1h",
        "symbol": "ETHUSDT", "entry_time": at - timedelta(hours=1), "exit_time": at, "direction": "long",
        "status": "closed", "entry_price": Decimal(100), "exit_price": Decimal(101), "size": Decimal(1),
        "net_pnl": Decimal(net),
        "exit_reason": "take_profit",
    }  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(trades).values(values))


async def an_order(database: Database, bot_id: int, order_state: str) -> None:
    now = datetime.now(UTC)
    values = {
        "bot_id": bot_id, "client_order_id": f"tb{bot_id}-{order_state}", "epoch": 1, "purpose": "entry", "side": "buy",
        "type": "market", "symbol": "ETHUSDT", "quantity": Decimal(1), "state": order_state, "bar_time": now,
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(orders).values(values))


async def a_lease(database: Database, bot_id: int, holder: str, seconds: float = 30) -> None:
    values = {"bot_id": bot_id, "holder": holder, "epoch": 1}
    async with database.write() as connection:
        moment = {"acquired_at": database.now(), "expires_at": database.after(seconds)}
        await connection.execute(insert(leases).values(values | moment))


async def a_varied_fleet(database: Database) -> dict[str, int]:
    """One bot of each kind, by what is special about it."""
    failed = {"last_error": "the venue rejected the order: insufficient balance"}
    quarantined = failed | {"quarantined": {"failures": 5, "error": "ValueError: boom"}}
    ids = {
        "running": await a_bot(database, "dips", current_balance="10100", total_pnl="100"),
        "holding": await a_bot(database, "holder", current_balance="9950", total_pnl="-50"),
        "error": await a_bot(database, "failing", "error", metadata=failed),
        "quarantined": await a_bot(database, "given up", "error"),
        "invalid": await a_bot(
            database, "broken", "error", beat=None, symbol="", metadata={"last_error": "invalid configuration"}
        ),
        "silent": await a_bot(database, "quiet", beat=300),
        "waiting": await a_bot(database, "newcomer", "enabled", beat=None),
        "stopped": await a_bot(database, "resting", "stopped", beat=900, metadata={"stopped_by": "request"}),
        "halted": await a_bot(database, "held back"),
        "unsure": await a_bot(database, "unsure"),
    }
    row = await BotStore(database, actor="test").get(ids["quarantined"])
    assert row is not None
    quarantined["quarantined"] |= {"config_hash": row.config_hash}
    async with database.write() as connection:
        this = bots.c.id == ids["quarantined"]
        await connection.execute(update(bots).where(this).values(extra_metadata=quarantined))
    await a_position(database, ids["holding"], "2", "100", last="110.5")
    await a_trade(database, ids["running"], "12.5", datetime.now(UTC))
    await an_order(database, ids["unsure"], "unknown")
    await HaltStore(database).halt(HaltScope.BOT, ids["halted"], flatten=False, reason="a look first", by="anna")
    return ids
