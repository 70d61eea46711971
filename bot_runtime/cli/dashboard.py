"""The fleet on a terminal: one line a bot, the newest trades, the newest log lines. It only reads the boards."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.settings import Settings
from bot_runtime.trading_runner import TradingRunner

_SECONDS = 0.5
_COLORS = {Phase.RUNNING: "green", Phase.ERROR: "red", Phase.STOPPED: "dim", Phase.WAITING: "yellow"}


class _Lines(logging.Handler):
    """Keeps the newest log lines: printing them would tear the table."""

    def __init__(self, like: logging.Handler) -> None:
        super().__init__(logging.WARNING)  # trades have a place of their own
        self.setFormatter(like.formatter)
        self.lines: deque[str] = deque(maxlen=6)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).splitlines()[0])


@asynccontextmanager
async def shown(fleet: FleetBoard, settings: Settings, runner: TradingRunner) -> AsyncIterator[None]:
    """Draw the fleet twice a second for as long as the block lasts; leaves the last picture standing."""
    root = logging.getLogger()
    before = root.handlers[:]
    lines = _Lines(before[0])
    root.handlers = [lines]
    with Live(auto_refresh=False, transient=False) as live:

        async def draw() -> None:
            while True:
                live.update(_picture(fleet, lines, runner.health.port or settings.port), refresh=True)
                await asyncio.sleep(_SECONDS)

        drawing = asyncio.create_task(draw())
        try:
            yield
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
            live.update(_picture(fleet, lines, runner.health.port), refresh=True)
            root.handlers = before


def _picture(fleet: FleetBoard, lines: _Lines, port: int) -> Group:
    trades = Text("\n".join(_trade_lines(fleet)) or "none yet")
    log = Text("\n".join(lines.lines), style="dim", overflow="ellipsis", no_wrap=True)
    hint = Text(f"http://localhost:{port}/status  /metrics  /healthz  /readyz    Ctrl-C stops", style="dim")
    return Group(_fleet_table(fleet), Panel(trades, title="trades", title_align="left"), log, hint)


def _fleet_table(fleet: FleetBoard) -> Table:
    table = Table(expand=True)
    for name in ("ID", "Bot", "Symbol", "Strategy", "Status", "Position"):
        table.add_column(name, no_wrap=name != "Strategy")
    for name in ("Balance", "P&L", "Bar", "Heartbeat"):
        table.add_column(name, justify="right", no_wrap=True)
    for bot_id in sorted(fleet.bots):
        table.add_row(*_cells(fleet.bots[bot_id]))
    return table


def _cells(board: BotBoard) -> tuple[str | Text, ...]:
    age = board.heartbeat_age
    pnl = board.total_pnl
    words = f"{board.phase}: {board.shown_message}" if board.shown_message else str(board.phase)
    status = Text(words, style=_COLORS.get(board.phase, ""))
    return (
        str(board.bot_id),
        Text(board.name),  # a row's text is text: it must not be read as markup
        Text(f"{board.symbol} {board.interval}"),
        Text(board.strategy.replace("EntryMixin", "").replace("ExitMixin", "")),
        status,
        Text(board.position_text or "flat"),
        "" if board.balance is None else f"{board.balance:,.2f}",
        Text("" if pnl is None else f"{pnl:+,.2f}", style="red" if pnl is not None and pnl < 0 else "green"),
        "" if board.bar_time is None else f"{board.bar_time:%Y-%m-%d %H:%M}",
        "" if age is None else f"{age:.0f} s",
    )


def _trade_lines(fleet: FleetBoard) -> list[str]:
    newest = list(fleet.trades)[-8:]
    return [f"{line.at:%Y-%m-%d %H:%M}  bot {line.bot_id}  {line.symbol:<9} {line.text}" for line in newest]
