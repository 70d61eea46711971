"""The fleet as lines to be shown: which phase, what holds it, what it is worth; sorted, filtered, summed up.

Pure: facts in, lines out. It reads no clock, no database and draws nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bot_core.logs import masked
from bot_core.models.bot import BotStatus, desired_state, document_hash
from bot_core.models.config import BotConfig, ParsedConfig, parse_config
from bot_core.models.figures import OpenPosition, few_digits
from bot_core.models.fleet import BotFacts, FleetFacts
from bot_core.models.halt import Halt, halt_of

_PAST = ("file", "generated")
_TOLD = ("refused:", "reduced:", "config_held:", "stalled:")
#: A heartbeat comes every ten seconds by default, and a lease lasts thirty.
_SILENT_SECONDS = 45.0


class Order(StrEnum):
    """What lines are sorted by."""

    ID = "id"
    NAME = "name"
    STATUS = "status"
    PNL = "pnl"
    TODAY = "today"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One bot. Money in its quote currency; ages in seconds; `trouble` says whether the note is one."""

    bot_id: int
    name: str
    market: str = ""
    mode: str = ""
    strategy: str = ""
    phase: str = ""
    note: str = ""
    trouble: bool = False
    position: str = ""
    unrealised: Decimal | None = None
    exposure: Decimal | None = None
    balance: Decimal | None = None
    pnl: Decimal | None = None
    today: Decimal | None = None
    trades: int = 0
    orders: int = 0
    bar_time: datetime | None = None
    heartbeat_age: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all bots, whatever their quote currencies are: a fleet of one currency is the common case."""

    bots: int
    phases: Mapping[str, int]
    today: Decimal
    pnl: Decimal
    unrealised: Decimal
    exposure: Decimal
    orders: int
    positions: int

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


#: How urgent a phase is: what needs a person comes first.
URGENCY = (
    "quarantined", "error", "invalid", "silent", "halted", "waiting", "starting", "restarting", "stopping", "running",
    "stopped",
)  # fmt: skip
_BUSY = frozenset({BotStatus.RUNNING, BotStatus.STARTING, BotStatus.STOPPING, BotStatus.RESTARTING})


def fleet_lines(facts: FleetFacts) -> list[FleetLine]:
    return [_line(bot, facts.halts, facts.at) for bot in facts.bots]


def totals(lines: Sequence[FleetLine]) -> Totals:
    def sum_of(amount: Callable[[FleetLine], Decimal | None]) -> Decimal:
        return sum((amount(line) or Decimal(0) for line in lines), Decimal(0))

    counted = Counter(line.phase for line in lines)
    return Totals(
        bots=len(lines),
        phases={phase: counted[phase] for phase in sorted(counted, key=_urgency)},
        today=sum_of(lambda line: line.today),
        pnl=sum_of(lambda line: line.pnl),
        unrealised=sum_of(lambda line: line.unrealised),
        exposure=sum_of(lambda line: line.exposure),
        orders=sum(line.orders for line in lines),
        positions=sum(bool(line.position) for line in lines),
    )


def arranged(lines: Iterable[FleetLine], order: Order, words: str = "", *, backwards: bool = False) -> list[FleetLine]:
    """The lines that hold every word somewhere, sorted; equal ones by id. What is unknown comes last."""
    wanted = words.lower().split()
    chosen = [line for line in lines if all(word in _searched(line) for word in wanted)]
    known = [line for line in chosen if _key(line, order) is not None]
    unknown = [line for line in chosen if _key(line, order) is None]
    known.sort(key=lambda line: line.bot_id)
    known.sort(key=lambda line: _key(line, order), reverse=backwards)
    return known + sorted(unknown, key=lambda line: line.bot_id)


def _key(line: FleetLine, order: Order) -> Any:
    match order:
        case Order.ID:
            return line.bot_id
        case Order.NAME:
            return line.name.lower()
        case Order.STATUS:
            return (_urgency(line.phase), not line.trouble)
        case Order.PNL:
            return None if line.pnl is None else -line.pnl
        case Order.TODAY:
            return None if line.today is None else -line.today
        case Order.HEARTBEAT:
            return None if line.heartbeat_age is None else -line.heartbeat_age


def _urgency(phase: str) -> int:
    return URGENCY.index(phase) if phase in URGENCY else len(URGENCY)


def _searched(line: FleetLine) -> str:
    return f"{line.bot_id} {line.name} {line.market} {line.mode} {line.strategy} {line.phase} {line.note}".lower()


def _line(bot: BotFacts, halts: Sequence[Halt], now: datetime) -> FleetLine:
    row = bot.row
    parsed = _parsed(row.config)
    config = parsed.config
    age = None if row.last_heartbeat is None else max(0.0, (now - row.last_heartbeat).total_seconds())
    halt = halt_of(halts, row.id, row.user_id)
    phase = _phase(bot, parsed, age)
    note, trouble = _note(bot, parsed, halt, phase)
    if halt is not None and phase in {"running", "starting"}:
        phase = "halted"
    position = bot.position
    return FleetLine(
        bot_id=row.id,
        name=row.name,
        market=f"{config.symbol} {config.data.interval}" if config else str((row.document or {}).get("symbol") or ""),
        mode=config.broker.trading_mode if config else "",
        strategy=strategy_name(config) if config else "",
        phase=phase,
        note=masked(note),
        trouble=trouble,
        position=_position(position),
        unrealised=unrealised(position.direction, position.quantity, position.average_price, bot.price)
        if position
        else None,
        exposure=_exposure(position, bot.price),
        balance=row.current_balance,
        pnl=row.total_pnl,
        today=_today(bot, config, now),
        trades=bot.trades,
        orders=bot.working_orders,
        bar_time=bot.cursor,
        heartbeat_age=age,
    )


def strategy_name(config: BotConfig) -> str:
    """The rules in few letters, or the strategy's name where it is no pair of rules."""
    strategy = config.strategy
    if strategy.type != "CustomStrategy":
        return strategy.type
    return short_strategy(f"{strategy.entry.name} / {strategy.exit.name}")


def short_strategy(name: str) -> str:
    return name.replace("EntryMixin", "").replace("ExitMixin", "")


def _phase(bot: BotFacts, parsed: ParsedConfig, age: float | None) -> str:
    row = bot.row
    if row.quarantined:
        return "quarantined"
    if row.unreadable or (parsed.config is None and row.status == BotStatus.ERROR):
        return "invalid"
    if row.status in _BUSY:
        return "silent" if age is not None and age > _SILENT_SECONDS else str(row.status)
    if row.status == BotStatus.ERROR:
        return "error"
    # `enabled`, or stopped by a shutdown: nobody runs it, though it asks to run.
    return "waiting" if desired_state(row).run else "stopped"


def _note(bot: BotFacts, parsed: ParsedConfig, halt: Halt | None, phase: str) -> tuple[str, bool]:
    """What holds the bot or troubles it, the worst first; and whether that is a trouble."""
    row = bot.row
    error = str(row.extra_metadata.get("last_error") or "") or parsed.error
    troubles = (
        row.unreadable,
        error if phase in {"quarantined", "error", "invalid"} else "",
        "" if halt is None else f"{halt}, closing positions" if halt.flatten else str(halt),
        f"{bot.unknown_orders} order(s) with an unknown outcome" if bot.unknown_orders else "",
        "no heartbeat: its process is gone, or can't reach the database" if phase == "silent" else "",
        error,
    )
    worst = next(filter(None, troubles), "")
    if worst:
        return worst, True
    if phase in {"waiting", "stopped"}:
        return desired_state(row).reason + ("; no process runs it" if phase == "waiting" else ""), False
    told = bot.last_event.startswith(_TOLD)
    return (bot.last_event.partition(": ")[2] if told else ""), False


def _position(position: OpenPosition | None) -> str:
    if position is None:
        return ""
    price = "?" if position.average_price is None else few_digits(position.average_price)
    return f"{position.direction} {few_digits(position.quantity)} @ {price}"


def unrealised(
    direction: str, quantity: Decimal, entry: Decimal | None, price: float | Decimal | None
) -> Decimal | None:
    """What the position would gain at `price`, commissions aside; None where a price is unknown."""
    if entry is None or price is None:
        return None
    gain = ((Decimal(repr(price)) if isinstance(price, float) else price) - entry) * quantity
    return -gain if direction.lower() == "short" else gain


def _exposure(position: OpenPosition | None, price: Decimal | None) -> Decimal | None:
    at = price if price is not None or position is None else position.average_price
    return None if position is None or at is None else at * position.quantity


def _today(bot: BotFacts, config: BotConfig | None, now: datetime) -> Decimal | None:
    if bot.cursor is None:
        return None
    past = config is not None and config.data.data_source in _PAST
    # A replay has days of its own; the fills of its last bar may lie on the next one.
    replayed = past and now - bot.cursor > timedelta(days=1)
    return bot.pnl_of_day if replayed else bot.pnl_today


def _parsed(document: Any) -> ParsedConfig:
    key = document_hash(document)
    found = _cache.get(key)
    if found is None:
        if len(_cache) > _MOST_CACHED:
            _cache.clear()
        found = _cache[key] = parse_config(document)
    return found


#: Documents change seldom, and the fleet is read each second.
_cache: dict[str, ParsedConfig] = {}
_MOST_CACHED = 5000
