"""A live bot as a process, the stand-in exchange as another, and a database: what the tests of recovery steer.

The bot trades BTCUSDT on bars of one second: it enters whenever it is flat and leaves after some bars, so that every
state of an order comes by itself and only has to be caught.
"""

import json
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from support.bots import a_document
from support.exchange.server import API_KEY, API_SECRET, ExchangeProcess
from support.service import Service
from support.waiting import wait_until

SYMBOL = "BTCUSDT"
STEP = Decimal("0.00001")
_ALWAYS_IN = {"e_rsi_oversold": 100, "e_rsi_period": 2, "e_bb_period": 2}


def a_live_document(*, hold_bars: int = 3, interval: str = "1s", **changes: Any) -> dict[str, Any]:
    broker = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 5000.0}
    strategy = {
        "type": "CustomStrategy",
        "parameters": {
            "entry_logic": {"name": "RSIOrBBEntryMixin", "params": _ALWAYS_IN},
            "exit_logic": {"name": "TimeBasedExitMixin", "params": {"x_max_bars": hold_bars}},
            "position_size": 0.1,
        },
    }
    return (
        a_document(
            symbol=SYMBOL,
            broker=broker,
            credentials_secret="bot-keys",
            data={"data_source": "binance", "interval": interval, "lookback_bars": 20},
            strategy=strategy,
            risk_management={"stop_loss_pct": 20.0, "stop_loss_enabled": True},
            notifications={"error_notifications": True, "telegram_enabled": True},
        )
        | changes
    )


class LiveWorld:
    """`url` is of a migrated database. `start` starts a process of the bot; several may run at once."""

    def __init__(self, folder: Path, url: str, exchange: ExchangeProcess, **environment: str) -> None:
        self.folder = folder
        self.url = url
        self.exchange = exchange
        self.engine = create_engine(url)
        self.services: list[Service] = []
        self.environment = {
            "TRADINGBOT_EXCHANGE_URL": exchange.url,
            "TRADINGBOT_EXCHANGE_WS_URL": exchange.url.replace("http", "ws"),
            "BOT_KEYS_API_KEY": API_KEY,
            "BOT_KEYS_API_SECRET": API_SECRET,
            "TRADINGBOT_HEARTBEAT_SECONDS": "0.5",
            "TRADINGBOT_LEASE_SECONDS": "12",
        } | environment
        self.market(follow=f"{SYMBOL}@1s")

    def start(self, *command: str, module: str = "bot_runtime") -> Service:
        service = Service(self.folder, self.url, *(command or ("serve",)), module=module, **self.environment)
        self.services.append(service)
        return service

    def market(self, **body: Any) -> None:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.exchange.url}/admin/market", data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def orders(self, bot_id: int, **wanted: str) -> list[dict[str, Any]]:
        """Rows of the journal with these values."""
        found = self.rows("SELECT * FROM bot_orders WHERE bot_id = :bot ORDER BY id", bot=bot_id)
        return [row for row in found if all(row[name] == value for name, value in wanted.items())]

    def venue_orders(self, bot_id: int) -> list[dict[str, Any]]:
        return [o for o in self.exchange.state()["orders"] if o["clientOrderId"].startswith(f"tb{bot_id}-")]

    def holds(self, bot_id: int) -> bool:
        found = self.rows("SELECT 1 FROM trading_positions WHERE bot_id = :bot AND status = 'open'", bot=bot_id)
        return bool(found)

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 45) -> Any:
        return wait_until(condition, timeout, what, tell=self.tell)

    def tell(self) -> str:
        return "\n".join(service.log.read_text()[-6000:] for service in self.services)

    def close(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.kill()
        self.engine.dispose()


def disagreements(world: LiveWorld, bot_id: int) -> list[str]:
    """In what venue and tables differ; none: each order is at the venue once, as the journal says, and so is the base.

    An order that the journal gave up may be unknown to the venue.
    """
    journal = {row["client_order_id"]: row for row in world.orders(bot_id)}
    venue: dict[str, list[dict[str, Any]]] = {}
    for order in world.venue_orders(bot_id):
        venue.setdefault(order["clientOrderId"], []).append(order)
    found = [f"{name} has {len(orders)} orders at the venue" for name, orders in venue.items() if len(orders) != 1]
    found += [f"{name} is at the venue and not in the journal" for name in venue.keys() - journal.keys()]
    for name, row in journal.items():
        found += _differences(name, row, venue[name][0] if name in venue else None)
    return found + _difference_of_holdings(world, bot_id)


def _differences(name: str, row: dict[str, Any], order: dict[str, Any] | None) -> list[str]:
    if order is None:
        given_up = row["state"] in {"canceled", "rejected"}
        return [] if given_up else [f"{name} is {row['state']} in the journal and not at the venue"]
    executed, booked = Decimal(order["executedQty"]), Decimal(str(row["filled_quantity"] or 0))
    expected = {"FILLED": "filled", "CANCELED": "canceled", "REJECTED": "rejected"}.get(order["status"], "open")
    found = [] if executed == booked else [f"{name} filled {executed} at the venue, {booked} in the journal"]
    if row["state"] != expected:
        found.append(f"{name} is {order['status']} at the venue, {row['state']} in the journal")
    return found


def _difference_of_holdings(world: LiveWorld, bot_id: int) -> list[str]:
    sql = "SELECT qty_open FROM trading_positions WHERE bot_id = :bot AND status = 'open'"
    held = sum(Decimal(str(row["qty_open"])) for row in world.rows(sql, bot=bot_id))
    balance = world.exchange.state()["balances"]["BTC"]
    base = Decimal(balance["free"]) + Decimal(balance["locked"]) - 1  # the stand-in's account begins with one
    dust = STEP * (1 + len(world.orders(bot_id, purpose="entry")))  # what no sale can take: below a step for each
    return [] if -STEP < base - held < dust else [f"the venue holds {base} of the bot's, the tables say {held}"]
