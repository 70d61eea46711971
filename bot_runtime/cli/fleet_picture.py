"""The picture of `tradingbot top`: totals, the table, the newest, one bot alone. It only draws what it is given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bot_core.logs import masked
from bot_core.models.fleet import FleetFacts, News
from bot_core.models.halt import Halt, HaltScope
from bot_core.store.bot_detail import BotDetail
from bot_runtime.cli.fleet_screen import FleetScreen
from bot_runtime.cli.fleet_table import fleet_table, money, phase_text
from bot_runtime.cli.fleet_view import FleetLine, Totals, short_strategy

_HINT = "q quit · ↑↓ PgUp PgDn · Enter one bot · / filter · sort: i id  n name  s status  p P&L  t today  h heartbeat"
_DETAIL_HINT = "↑↓ another bot · Esc back · q quit"
_KINDS = {"BUY": "green", "SELL": "cyan", "error": "red", "quarantined": "red", "halted": "yellow"}
_LOWEST_FOR_NEWS = 24
_NEWS_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a picture is made of. `lines` are sorted and filtered; `trouble` says why facts are old."""

    facts: FleetFacts
    database: str
    totals: Totals
    lines: Sequence[FleetLine]
    screen: FleetScreen
    detail: BotDetail | None = None
    trouble: str = ""


def page_of(shown: Shown, height: int) -> int:
    """How many bots fit: all lines of the terminal but head, heading, news, the note on the marked bot, and foot."""
    return max(1, height - len(_head(shown)) - 3 - _news_height(shown, height))


def picture(shown: Shown, width: int, height: int) -> Group:
    parts: list[RenderableType] = list(_head(shown))
    if shown.screen.detail is not None:
        room = height - len(parts) - 1
        parts += [_detail(shown, width, room), Text(_DETAIL_HINT, style="dim", no_wrap=True)]
        return Group(*parts)
    page = page_of(shown, height)
    lines = shown.lines[shown.screen.top : shown.screen.top + page]
    parts.append(fleet_table(lines, width, selected=shown.screen.selected))
    parts += [Text("")] * (page - len(lines))
    if _news_height(shown, height):
        parts.append(_news(shown.facts, width, _news_height(shown, height) - 1))
    parts += [_marked(shown), _foot(shown, page)]
    return Group(*parts)


def _marked(shown: Shown) -> Text:
    """What holds the marked bot, for the table has seldom room for all of it."""
    line = next((line for line in shown.lines if line.bot_id == shown.screen.selected), None)
    if line is None or not line.note:
        return Text("")
    return _line(Text.assemble((f"bot {line.bot_id}: ", "bold"), (line.note, "red" if line.trouble else "")))


def _head(shown: Shown) -> list[Text]:
    lines = [_title(shown), _sums(shown)]
    if shown.facts.halts:
        lines.append(_halts(shown.facts.halts))
    if shown.trouble:
        lines.append(_line(Text(shown.trouble, style="bold red")))
    return [*lines, Text("")]


def _title(shown: Shown) -> Text:
    counted = Text(" · ").join(
        Text.assemble(str(number), " ", phase_text(phase)) for phase, number in shown.totals.phases.items()
    )
    title = Text.assemble(("tradingbot top", "bold"), f"  {shown.totals.bots} bots: ", counted)
    title.append(f"   {shown.facts.at:%Y-%m-%d %H:%M:%S} UTC  ", style="dim")
    title.append(shown.database, style="dim")
    return _line(title)


def _sums(shown: Shown) -> Text:
    totals, waiting = shown.totals, shown.facts.notifications
    text = Text.assemble(
        "today ", money(totals.today),
        "   P&L ", money(totals.pnl),
        "   unrealised ", money(totals.unrealised),
        f"   exposure {totals.exposure:,.2f} in {totals.positions} positions   open orders {totals.orders}",
    )  # fmt: skip
    pending = waiting.get("PENDING", 0) + waiting.get("PROCESSING", 0)
    text.append(f"   notifications {pending} pending")
    if waiting.get("FAILED"):
        text.append(f", {waiting['FAILED']} failed", style="red")
    return _line(text)


def _halts(halts: Sequence[Halt]) -> Text:
    first = min(halts, key=lambda halt: halt.scope is not HaltScope.ALL)
    whom = "all bots" if first.scope is HaltScope.ALL else f"{first.scope} {first.target_id}"
    why = f": {first.reason}" if first.reason else ""
    more = f"   and {len(halts) - 1} more" if len(halts) > 1 else ""
    how = "halted, closing positions" if first.flatten else "halted"
    said = f"{whom} {how} by {first.created_by} since {first.created_at:%Y-%m-%d %H:%M:%S}{why}{more}"
    return _line(Text(masked(said), style="bold yellow"))


def _news_height(shown: Shown, height: int) -> int:
    """Trades and events stand below the table where there is room for both."""
    if height < _LOWEST_FOR_NEWS:
        return 0
    return 1 + max(1, min(8, height // 5, max(len(shown.facts.trades), len(shown.facts.events))))


def _news(facts: FleetFacts, width: int, lines: int) -> RenderableType:
    trades = Group(Rule("trades", align="left", style="dim"), *_news_lines(facts.trades, lines))
    if width < _NEWS_WIDTH:
        return trades
    events = Group(Rule("events", align="left", style="dim"), *_news_lines(facts.events, lines))
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(trades, events)
    return grid


def _news_lines(news: Sequence[News], lines: int) -> Iterable[Text]:
    found = [_news_line(item) for item in news[:lines]]
    return [*found, *[Text("")] * (lines - len(found))] if found else [Text("none yet", style="dim")]


def _news_line(news: News) -> Text:
    style = _KINDS.get(news.kind, "")
    head = f"{_clock(news.at)}  bot {news.bot_id:<4}"
    return _line(Text.assemble((head, "dim"), (f"{news.kind}  ", style), short_strategy(masked(_one_line(news.text)))))


def _clock(at: datetime) -> str:
    return f"{at:%m-%d %H:%M:%S}"


def _foot(shown: Shown, page: int) -> Text:
    screen, lines = shown.screen, shown.lines
    if screen.typing:
        hint = ("   Enter keeps it, Esc drops it", "dim")
        return _line(Text.assemble(("filter: ", "bold"), screen.words, ("▌", "blink"), hint))
    last = min(screen.top + page, len(lines))
    first = screen.top + 1 if lines else 0
    text = Text(f"{first}-{last} of {len(lines)} by {screen.order}{' backwards' if screen.backwards else ''}")
    if screen.words:
        text.append(f"   filter: {screen.words}", style="bold")
    text.append(f"   {_HINT}", style="dim")
    return _line(text)


def _detail(shown: Shown, width: int, room: int) -> RenderableType:
    bot_id = shown.screen.detail
    line = next((line for line in shown.lines if line.bot_id == bot_id), None)
    parts: list[RenderableType] = []
    if line is not None:
        parts += [fleet_table([line], width), Text(line.strategy, style="dim", no_wrap=True)]
        if line.note:
            parts.append(Text(line.note, style="red" if line.trouble else ""))
    detail = shown.detail
    if detail is None or detail.bot_id != bot_id:
        return Group(*parts, Text("reading …", style="dim"))
    each = max(2, (room - 3 - 3 * 2 - bool(line and line.note)) // 3)
    parts.append(_rows("trades", detail.trades[:each], _TRADE))
    parts.append(_rows("orders", detail.orders[:each], _ORDER))
    parts.append(_rows("events", detail.events[:each], _EVENT))
    return Group(*parts)


_TRADE = ("id", "entry_time", "entry_price", "size", "exit_time", "exit_price", "net_pnl", "exit_reason", "status")
_ORDER = ("created_at", "client_order_id", "purpose", "side", "type", "quantity", "price", "state", "filled_price")
_EVENT = ("at", "kind", "message")


def _rows(title: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(rows))
    for name in names:
        table.add_column(name.replace("_", " "), no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in names))
    body: RenderableType = table if rows else Text("none", style="dim")
    return Group(Rule(title, align="left", style="dim"), Padding(body, 0))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if hasattr(value, "normalize"):
        return f"{value.normalize():f}"
    return masked(_one_line(str(value)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
