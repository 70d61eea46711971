"""The whole fleet in two statements, however many bots there are. It only reads, and takes no lock.

The first statement has a row a bot, the second all that is not of one bot: halts, the newest trades and events, the
queue of notifications.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Row,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import FromClause

from bot_core.models.bot import BotRow
from bot_core.models.figures import OpenPosition, few_digits
from bot_core.models.fleet import BotFacts, FleetFacts, News
from bot_core.models.halt import Halt, HaltScope
from bot_core.schema import bots, events, halts, leases, messages, orders, positions, state, trades
from bot_core.schema.types import Money
from bot_core.store.journal import WORKING, OrderState
from bot_core.store.looking import LookingDatabase
from bot_core.store.rows import COLUMNS

_EIGHT = Decimal("1e-8")
_NEWEST = 8
_MESSAGES = ("PENDING", "PROCESSING", "FAILED")


async def read_fleet(database: LookingDatabase) -> FleetFacts:
    """Raises as `Database.read` does; a row that can't be read is there with what is wrong as `unreadable`."""
    async with database.look() as connection:
        rows = (await connection.execute(_bots(database))).all()
        beside = (await connection.execute(_beside())).all()
    at = rows[0].seen_at if rows else datetime.now(UTC)
    return FleetFacts(
        at=at,
        bots=tuple(map(_facts, rows)),
        halts=tuple(_halt(row) for row in beside if row.what == "halt"),
        trades=tuple(_trade(row) for row in beside if row.what == "trade"),
        events=tuple(News(row.at, row.bot_id, row.a or "", row.b or "") for row in beside if row.what == "event"),
        notifications={row.a: int(row.number) for row in beside if row.what == "messages"},
    )


def _bots(database: LookingDatabase) -> Select[Any]:
    newest = select(func.max(positions.c.id)).where(positions.c.status == "open", positions.c.qty_open != 0)
    held = select(positions).where(positions.c.id.in_(newest.group_by(positions.c.bot_id))).subquery("held")
    closed = _closed()
    columns = (
        *(held.c[name].label(f"held_{name}") for name in ("symbol", "direction", "qty_open", "avg_price")),
        state.c.cursor,
        state.c.account,
        leases.c.holder,
        leases.c.expires_at,
        closed.c.trades,
        closed.c.pnl_today,
        closed.c.pnl_of_day,
        _orders(orders.c.state.in_(WORKING)).label("working_orders"),
        _orders(orders.c.state == OrderState.UNKNOWN).label("unknown_orders"),
        _orders(and_(orders.c.state == OrderState.OPEN, orders.c.purpose == "protective")).label("resting_stops"),
        _last_event().label("last_event"),
        database.now().label("seen_at"),
    )
    joined: Any = bots
    for table in (held, state, leases, closed):
        joined = joined.outerjoin(table, table.c.bot_id == bots.c.id)
    return select(*COLUMNS, *columns).select_from(joined).order_by(bots.c.id)


def _closed() -> FromClause:
    """Closed trades by bot: how many, and the net P&L of the two days that may be meant by today."""
    when = trades.c.exit_time
    today = case((when >= literal(_midnight(), type_=when.type), trades.c.net_pnl), else_=null())
    of_day = case((when >= func.date(state.c.cursor), trades.c.net_pnl), else_=null())
    query = (
        select(
            trades.c.bot_id,
            func.count().label("trades"),
            func.sum(today, type_=Money()).label("pnl_today"),
            func.sum(of_day, type_=Money()).label("pnl_of_day"),
        )
        .select_from(trades.outerjoin(state, state.c.bot_id == trades.c.bot_id))
        .where(trades.c.status == "closed")
    )
    return query.group_by(trades.c.bot_id).subquery("closed")


def _midnight() -> datetime:
    today: date = datetime.now(UTC).date()
    return datetime(today.year, today.month, today.day, tzinfo=UTC)


def _orders(which: Any) -> Any:
    return select(func.count()).where(orders.c.bot_id == bots.c.id, which).scalar_subquery()


def _last_event() -> Any:
    told = events.c.kind + literal(": ") + func.substr(events.c.message, 1, 300)
    return select(told).where(events.c.bot_id == bots.c.id).order_by(events.c.id.desc()).limit(1).scalar_subquery()


def _beside() -> CompoundSelect[Any]:
    """Columns of one shape for rows of four kinds; what a kind has not is NULL."""
    halt = _row("halt", halts.c.id, halts.c.created_at, number=halts.c.target_id, a=halts.c.scope)
    halt = halt.add_columns(halts.c.created_by.label("b"), halts.c.reason.label("c"), _flattens().label("d"))
    return union_all(
        halt.where(halts.c.cleared_at.is_(None)).order_by(halts.c.id).limit(1000).subquery().select(),
        _trades().subquery().select(),
        _events().subquery().select(),
        _messages().subquery().select(),
    )


def _row(what: str, key: Any, at: Any, *, number: Any = None, a: Any) -> Select[Any]:
    named = (
        literal(what).label("what"),
        key.label("bot_id"),
        at.label("at"),
        (cast(null(), orders.c.id.type) if number is None else number).label("number"),
        a.label("a"),
    )
    return select(*named)


def _flattens() -> Any:
    return case((halts.c.flatten, literal("flatten")), else_=literal(""))


def _text(column: Any) -> Any:
    return cast(column, String)


def _trades() -> Select[Any]:
    """The newest by id: an entry while it is open, its end once it is closed."""
    closed = trades.c.status == "closed"
    at = case((closed, trades.c.exit_time), else_=trades.c.entry_time)
    price = case((closed, trades.c.exit_price), else_=trades.c.entry_price)
    why = func.coalesce(case((closed, trades.c.exit_reason), else_=trades.c.entry_logic_name), "")
    query = _row("trade", trades.c.bot_id, at, number=trades.c.id, a=trades.c.status)
    facts = func.coalesce(_text(trades.c.size), "") + " @ " + func.coalesce(_text(price), "")
    query = query.add_columns(
        facts.label("b"), why.label("c"), case((closed, _text(trades.c.net_pnl)), else_=null()).label("d")
    )
    return query.where(or_(closed, trades.c.status == "open")).order_by(trades.c.id.desc()).limit(_NEWEST)


def _events() -> Select[Any]:
    query = _row("event", events.c.bot_id, events.c.at, number=events.c.id, a=events.c.kind)
    empty = literal("")
    query = query.add_columns(func.substr(events.c.message, 1, 300).label("b"), empty.label("c"), empty.label("d"))
    return query.order_by(events.c.id.desc()).limit(_NEWEST)


def _messages() -> Select[Any]:
    at = func.min(messages.c.scheduled_for)
    key = cast(null(), orders.c.bot_id.type)
    query = _row("messages", key, at, number=func.count(), a=messages.c.status)
    empty = literal("")
    query = query.add_columns(empty.label("b"), empty.label("c"), empty.label("d"))
    return query.where(messages.c.status.in_(_MESSAGES)).group_by(messages.c.status)


def _facts(row: Row[Any]) -> BotFacts:
    account = row.account if isinstance(row.account, dict) else {}
    position = None
    if row.held_symbol is not None:
        position = OpenPosition(row.held_symbol, row.held_direction, row.held_qty_open, row.held_avg_price)
    return BotFacts(
        row=_bot(row),
        position=position,
        cursor=row.cursor,
        price=None if account.get("price") is None else Decimal(account["price"]),
        holder=row.holder,
        lease_until=row.expires_at,
        trades=row.trades or 0,
        pnl_today=_money(row.pnl_today),
        pnl_of_day=_money(row.pnl_of_day),
        working_orders=row.working_orders,
        unknown_orders=row.unknown_orders,
        resting_stops=row.resting_stops,
        last_event=row.last_event or "",
    )


def _bot(row: Row[Any]) -> BotRow:
    values = row._mapping  # noqa: SLF001  # the documented way to a mapping
    try:
        return BotRow.model_validate({column.key: values[column.key] for column in COLUMNS})
    except ValueError as error:
        text = f"a value of the row can't be read: {type(error).__name__}"
        return BotRow(id=row.id, user_id=row.user_id, status=row.status, unreadable=text)


def _money(amount: Decimal | None) -> Decimal:
    # SQLite adds amounts as floating-point numbers: near enough to look at, so they are rounded as the tables are.
    return Decimal(0) if amount is None else amount.quantize(_EIGHT)


def _halt(row: Row[Any]) -> Halt:
    return Halt(
        id=row.bot_id,
        scope=HaltScope(row.a),
        flatten=row.d == "flatten",
        reason=row.c or "",
        created_by=row.b,
        created_at=row.at,
        target_id=row.number,
    )


def _trade(row: Row[Any]) -> News:
    size, _, price = (row.b or "").partition(" @ ")
    text = f"{_plain(size)} @ {_plain(price)}  {row.c}"
    if row.a == "closed":
        text += f"  net {Decimal(row.d):+,.2f}" if row.d else ""
    return News(row.at or datetime.min.replace(tzinfo=UTC), row.bot_id, "SELL" if row.a == "closed" else "BUY", text)


def _plain(amount: str) -> str:
    return few_digits(Decimal(amount)) if amount else "?"
