"""`tradingbot bots performance ID`: the figures that were written of a bot, newest first."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bot_core.store.bots import BotStore
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds
from bot_runtime.cli.tables import print_table
from bot_runtime.persistence.performance_rows import recent_rows

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
    bots.command("performance", help="Show figures per UTC day and per so many trades, newest first.")(performance)


def performance(
    ids: BotIds,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Most rows of a bot.")] = 20,
    json: AsJson = False,
) -> int:
    """JSON has every figure, the table the most important ones."""
    return with_bots(lambda store: _performance(store, ids, limit, as_json=json))


async def _performance(store: BotStore, ids: Sequence[int], limit: int, *, as_json: bool) -> int:
    found = [row.id for row in await store.all(ids)]
    rows = [row for bot_id in found for row in await recent_rows(store.database, bot_id, limit)]
    if found or as_json:
        shown = rows if as_json else [_line(row) for row in rows]
        print_table(shown, as_json=as_json, empty="no figures yet: they come with the first day that is over")
    return all_found(ids, found)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    figures = row["metrics"] if isinstance(row["metrics"], dict) else {}
    market = " ".join(str(row[name]) for name in ("symbol", "interval", "trade_type") if row[name])
    about = {"bot": row["bot_id"], "period": _period(figures), "market": market}
    return about | {name: figures.get(key) for name, key in _SHOWN.items()}


def _period(figures: Mapping[str, Any]) -> str:
    """`2024-02-20` for a day, `40 trades to 2024-02-21 04:00Z` for a number of trades."""
    mark = str(figures.get("mark", "?"))
    if figures.get("kind") != "trades":
        return mark
    until = str(figures.get("period", {}).get("until", ""))[:16].replace("T", " ")
    return f"{mark} trades to {until}Z" if until else f"{mark} trades"
