"""`tradingbot bots performance ID`: the figures that were written of a bot, newest first."""

import asyncio
import sys
from typing import Annotated, Any

import typer

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.cli.tables import print_table
from bot_runtime.persistence.performance_rows import recent_rows
from bot_runtime.settings import Settings

#: Name of the column, and where the figure is in the row.
_SHOWN = {
    "trades": "trades",
    "net_pnl": "net_pnl",
    "return_%": "return_percent",
    "drawdown_%": "max_drawdown_percent",
    "sharpe": "sharpe",
    "win_%": "win_rate_percent",
    "profit_factor": "profit_factor",
    "exposure_%": "exposure_percent",
}


def register(bots: typer.Typer) -> None:
    """Add the command to the group `bots`."""
    bots.command("performance", help="Figures per UTC day and per so many trades, newest first.")(performance)


def performance(
    bot_id: Annotated[int, typer.Argument(metavar="ID", help="The bot's id.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to show.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="JSON for programs, with every figure.")] = False,
) -> int:
    return asyncio.run(_performance(bot_id, limit, as_json=json))


async def _performance(bot_id: int, limit: int, *, as_json: bool) -> int:
    database = Database(Settings.from_environment().database_url, pool_size=1)
    try:
        if await BotStore(database, actor="command line").get(bot_id) is None:
            print(f"no bot has the id {bot_id}", file=sys.stderr)
            return 1
        rows = await recent_rows(database, bot_id, limit)
    finally:
        await database.aclose()
    shown = rows if as_json else [_line(row) for row in rows]
    return print_table(shown, as_json=as_json, empty="no figures yet: they come with the first day that is over")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    figures = row["metrics"] if isinstance(row["metrics"], dict) else {}
    period = figures.get("period", {})
    about = {
        "until": str(period.get("until", ""))[:16].replace("T", " ") or None,
        "for": f"{figures.get('kind', '?')} {figures.get('mark', '')}".strip(),
        "mode": row["trade_type"],
        "symbol": row["symbol"],
        "interval": row["interval"],
    }
    return about | {name: _short(figures.get(key)) for name, key in _SHOWN.items()}


def _short(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
