"""A database as the older platform left it: its DDL in several variants, rows in every status, trades left open.

Facts only: written from the description of its tables, with the names of constraints and triggers that they have.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from bot_core.store.database import parse_url

TABLES = (
    "usr_users", "usr_auth_identities", "msg_messages", "msg_delivery_status", "trading_bots", "trading_positions",
    "trading_trades", "trading_performance_metrics", "alembic_version",
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """`dumped`: identity ids, defaults and the trigger, as on a real server; else serial ids, as its ORM builds it."""

    dumped: bool = True
    json_type: str = "jsonb"
    mode_column: bool = False

    def __str__(self) -> str:
        ids = "identity" if self.dumped else "serial"
        return f"{ids}-{self.json_type}" + ("-type" if self.mode_column else "")

    def ddl(self) -> str:
        identity = "integer GENERATED ALWAYS AS IDENTITY" if self.dumped else "serial"

        def default(value: str) -> str:
            return f" DEFAULT {value}" if self.dumped else ""

        now, zero = default("now()"), default("0")

        def key(table: str) -> str:
            name = f"{table}_pk" if self.dumped else f"pk_{table}"
            return f"id {identity} CONSTRAINT {name} PRIMARY KEY"

        mode = '"type" varchar(20) NOT NULL,' if self.mode_column else ""
        metadata = self.json_type if self.json_type != "text" else "jsonb"
        trigger = _TRIGGER if self.dumped else ""
        return f"""
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('032f9959e8cf');
CREATE TABLE usr_users ({key("usr_users")}, email varchar(100), role varchar(20) NOT NULL{default("'trader'")},
  is_active boolean{default("true") or " NOT NULL"}, created_at timestamptz{now}, updated_at timestamp,
  last_login timestamp);
CREATE TABLE usr_auth_identities ({key("usr_auth_identities")},
  user_id integer NOT NULL REFERENCES usr_users (id) ON DELETE CASCADE, provider varchar(32) NOT NULL,
  external_id varchar(255) NOT NULL, metadata jsonb, created_at timestamptz{now});
CREATE TABLE msg_messages (id bigserial CONSTRAINT msg_messages_pkey PRIMARY KEY, message_type varchar(50) NOT NULL,
  priority varchar(20) NOT NULL{default("'NORMAL'")} CHECK (priority IN ('LOW', 'NORMAL', 'HIGH', 'CRITICAL')),
  channels text[] NOT NULL, recipient_id varchar(100), template_name varchar(100), content jsonb NOT NULL,
  metadata jsonb,
  created_at timestamptz NOT NULL{now}, scheduled_for timestamptz NOT NULL{now},
  status varchar(20) NOT NULL{default("'PENDING'")}
    CHECK (status IN ('PENDING', 'PROCESSING', 'DELIVERED', 'FAILED', 'CANCELLED')),
  retry_count integer NOT NULL{zero}, max_retries integer NOT NULL{default("3")},
  last_error text, processed_at timestamptz, locked_by varchar(100), locked_at timestamptz);
CREATE TABLE msg_delivery_status (id bigserial PRIMARY KEY,
  message_id bigint REFERENCES msg_messages (id) ON DELETE CASCADE, channel varchar(50), status varchar(20),
  delivered_at timestamptz, response_time_ms integer, error_message text, external_id varchar(255),
  created_at timestamptz);
CREATE TABLE trading_bots ({key("trading_bots")}, user_id integer NOT NULL CONSTRAINT trading_bots_user_id_fkey
  REFERENCES usr_users (id) ON DELETE CASCADE, {mode} status varchar(20) NOT NULL, started_at timestamp,
  last_heartbeat timestamp, error_count integer, current_balance numeric(20,8), total_pnl numeric(20,8),
  extra_metadata {metadata}, created_at timestamptz{now}, updated_at timestamp,
  config {self.json_type} NOT NULL, description text);
CREATE TABLE trading_positions ({key("trading_positions")},
  bot_id integer NOT NULL REFERENCES trading_bots (id) ON DELETE CASCADE, trade_type varchar(10) NOT NULL,
  symbol varchar(20) NOT NULL, direction varchar(10) NOT NULL, opened_at timestamp, closed_at timestamp,
  qty_open numeric(20,8) NOT NULL{zero}, avg_price numeric(20,8), realized_pnl numeric(20,8){zero},
  status varchar(12) NOT NULL, extra_metadata {metadata});
CREATE TABLE trading_trades ({key("trading_trades")},
  bot_id integer NOT NULL REFERENCES trading_bots (id) ON DELETE CASCADE, trade_type varchar(10) NOT NULL,
  strategy_name varchar(100), entry_logic_name varchar(100) NOT NULL, exit_logic_name varchar(100) NOT NULL,
  symbol varchar(20) NOT NULL, "interval" varchar(10) NOT NULL, entry_time timestamp, exit_time timestamp,
  buy_order_created timestamp, buy_order_closed timestamp, sell_order_created timestamp, sell_order_closed timestamp,
  entry_price numeric(20,8), exit_price numeric(20,8), entry_value numeric(20,8), exit_value numeric(20,8),
  "size" numeric(20,8), direction varchar(10) NOT NULL, commission numeric(20,8), gross_pnl numeric(20,8),
  net_pnl numeric(20,8), pnl_percentage numeric(10,4), exit_reason varchar(100), status varchar(20) NOT NULL,
  extra_metadata {metadata}, created_at timestamptz{now}, updated_at timestamp,
  position_id integer REFERENCES trading_positions (id) ON DELETE SET NULL);
CREATE TABLE trading_performance_metrics ({key("trading_performance_metrics")},
  bot_id integer NOT NULL REFERENCES trading_bots (id) ON DELETE CASCADE, trade_type varchar(10) NOT NULL,
  symbol varchar(20), "interval" varchar(10), entry_logic_name varchar(100), exit_logic_name varchar(100),
  metrics jsonb NOT NULL, calculated_at timestamp, created_at timestamptz{now});
CREATE INDEX ix_trading_trades_bot_id ON trading_trades (bot_id);
{trigger}
"""


_TRIGGER = """
CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.updated_at = NOW(); RETURN NEW; END $$;
CREATE TRIGGER update_bots_updated_at BEFORE UPDATE ON trading_bots
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
"""


class OlderDatabase:
    """Statements as the older programs sent them: no ids, times of the server's zone."""

    def __init__(self, url: str, variant: Variant) -> None:
        self._dsn = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.variant = variant
        self.execute(variant.ddl())
        self.user = self.insert("usr_users", email="owner@example.com", role="trader", is_active=True)

    def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn) as connection:
            cursor = connection.execute(sql.encode(), values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def insert(self, table: str, **values: Any) -> int:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(["%s"] * len(values))
        ((key,),) = self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", *values.values())
        return int(key)

    @contextmanager
    def listening(self) -> Iterator[Callable[[], list[str]]]:
        """Within the block, what the channel of changed rows has said since it began."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("LISTEN trading_bots")
            yield lambda: [note.payload for note in connection.notifies(timeout=0.3)]

    def bot(self, document: Mapping[str, Any], status: str, **values: Any) -> int:
        if self.variant.mode_column:
            values["type"] = "paper"
        return self.insert("trading_bots", user_id=self.user, status=status, config=json.dumps(document), **values)

    def open_trade(self, bot_id: int, entry_time: str, price: float, **values: Any) -> int:
        row = {
            "bot_id": bot_id, "trade_type": "paper", "strategy_name": "CustomStrategy", "entry_logic_name": "Unknown",
            "exit_logic_name": "Unknown", "symbol": "ETHUSDT", "interval": "1h", "entry_time": entry_time,
            "buy_order_created": entry_time, "entry_price": price, "entry_value": price * 0.25, "size": 0.25,
            "direction": "long", "status": "open", "extra_metadata": '{"order_id": null, "paper_trading": true}',
        }  # fmt: skip
        return self.insert("trading_trades", **(row | values))
