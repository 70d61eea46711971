"""The table of the fleet on a terminal: one look, whether lines come from boards or from tables. It only draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from bot_runtime.cli.fleet_view import FleetLine

_PHASES = {
    "running": "green",
    "error": "bold red",
    "quarantined": "bold red",
    "invalid": "bold red",
    "silent": "red",
    "halted": "bold yellow",
    "waiting": "yellow",
    "starting": "cyan",
    "stopping": "cyan",
    "restarting": "cyan",
    "stopped": "dim",
}
_MARKED = "bold on grey30"
_LATE_BEAT, _DEAD_BEAT = 20.0, 45.0


@dataclass(frozen=True)
class _Column:
    """`from_width`: how wide a terminal must be for it to be shown."""

    title: str
    cell: Callable[[FleetLine], Text]
    from_width: int = 0
    right: bool = False
    ratio: int | None = None
    least: int | None = None
    most: int | None = None


def fleet_table(lines: Sequence[FleetLine], width: int, *, selected: int | None = None) -> Table:
    """One row a line, as many columns as the width has room for; `selected` is the id of the bot that is marked."""
    columns = [column for column in _COLUMNS if width >= column.from_width and _said(column, lines)]
    table = Table(expand=True, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=column.ratio,
            min_width=column.least,
            max_width=column.most,
        )
    for line in lines:
        table.add_row(*(column.cell(line) for column in columns), style=_MARKED if line.bot_id == selected else "")
    return table


def _said(column: _Column, lines: Sequence[FleetLine]) -> bool:
    """Whether any line has something in it: `serve` knows less of a bot than the tables."""
    return not lines or column.ratio is not None or any(column.cell(line).plain for line in lines)


def money(amount: Decimal | None, *, colored: bool = True) -> Text:
    """An amount with its sign, green or red; nothing where it is unknown."""
    if amount is None:
        return Text("")
    if not colored:
        return Text(f"{amount:,.2f}")
    return Text(f"{amount:+,.2f}", style="red" if amount < 0 else "green" if amount > 0 else "dim")


def phase_text(phase: str) -> Text:
    return Text(phase, style=_PHASES.get(phase, ""))


def _beat(line: FleetLine) -> Text:
    age = line.heartbeat_age
    if age is None:
        return Text("")
    late = "red" if age > _DEAD_BEAT else "yellow" if age > _LATE_BEAT else ""
    return Text(age_text(age), style="dim" if line.phase == "stopped" else late)


def age_text(seconds: float) -> str:
    """Two figures are enough: 7 s, 12 min, 3 h, 5 d."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _market(line: FleetLine) -> Text:
    return Text.assemble(line.market, (" live", "bold magenta") if line.mode == "live" else "")


def _bar(line: FleetLine) -> Text:
    return Text("" if line.bar_time is None else f"{line.bar_time:%Y-%m-%d %H:%M}")


# A row's text is text: it must not be read as markup.
_COLUMNS = (
    _Column("ID", lambda line: Text(str(line.bot_id)), right=True),
    _Column("Bot", lambda line: Text(line.name), ratio=5, least=16, most=28),
    _Column("Market", _market, least=8),
    _Column("Strategy", lambda line: Text(line.strategy), from_width=165, ratio=4, most=32),
    _Column("Status", lambda line: phase_text(line.phase)),
    _Column("Position", lambda line: Text(line.position or "flat", style="" if line.position else "dim"), 120),
    _Column("Unrealised", lambda line: money(line.unrealised), 100, right=True),
    _Column("Today", lambda line: money(line.today), 80, right=True),
    _Column("P&L", lambda line: money(line.pnl), right=True),
    _Column("Balance", lambda line: money(line.balance, colored=False), 110, right=True),
    _Column("Orders", lambda line: Text(str(line.orders or "")), 170, right=True),
    _Column("Trades", lambda line: Text(str(line.trades or "")), 180, right=True),
    _Column("Bar", _bar, 160),
    _Column("Beat", _beat, 70, right=True),
    _Column("Held by", lambda line: Text(line.note, style="red" if line.trouble else "dim"), 90, ratio=6, least=7),
)
