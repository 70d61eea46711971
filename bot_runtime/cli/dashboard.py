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

from bot_runtime.cli.fleet_table import fleet_table
from bot_runtime.cli.fleet_view import FleetLine, short_strategy, unrealised
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.settings import Settings
from bot_runtime.trading_runner import TradingRunner

_SECONDS = 0.5


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

        def picture() -> Group:
            return _picture(fleet, lines, runner.health.port or settings.port, live.console.width)

        async def draw() -> None:
            while True:
                live.update(picture(), refresh=True)
                await asyncio.sleep(_SECONDS)

        drawing = asyncio.create_task(draw())
        try:
            yield
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
            live.update(picture(), refresh=True)
            root.handlers = before


def _picture(fleet: FleetBoard, lines: _Lines, port: int, width: int) -> Group:
    trades = Text("\n".join(_trade_lines(fleet)) or "none yet")
    log = Text("\n".join(lines.lines), style="dim", overflow="ellipsis", no_wrap=True)
    hint = Text(f"http://localhost:{port}/status  /metrics  /healthz  /readyz    Ctrl-C stops", style="dim")
    return Group(_table(fleet, width), Panel(trades, title="trades", title_align="left"), log, hint)


def _table(fleet: FleetBoard, width: int) -> Table:
    return fleet_table([_line(fleet.bots[bot_id]) for bot_id in sorted(fleet.bots)], width)


def _line(board: BotBoard) -> FleetLine:
    held = board.position
    return FleetLine(
        bot_id=board.bot_id,
        name=board.name,
        market=f"{board.symbol} {board.interval}".strip(),
        mode=board.mode,
        strategy=short_strategy(board.strategy),
        phase=str(board.phase),
        note=board.shown_message,
        trouble=board.phase is Phase.ERROR or bool(board.halted) or board.database_away,
        position=board.position_text,
        unrealised=unrealised(held.direction, held.held, held.entry_price, board.last_price) if held else None,
        balance=board.balance,
        pnl=board.total_pnl,
        trades=board.trades,
        bar_time=board.bar_time,
        heartbeat_age=board.heartbeat_age,
    )


def _trade_lines(fleet: FleetBoard) -> list[str]:
    newest = list(fleet.trades)[-8:]
    return [f"{line.at:%Y-%m-%d %H:%M}  bot {line.bot_id}  {line.symbol:<9} {line.text}" for line in newest]
